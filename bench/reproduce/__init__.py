"""Papers reproduced: a study for each figure and table, judged from the records."""

"""The parts of a stream: frame, tables, exceptions, mappings."""

"""How weights come to be: training regimes, post-training steps, quantisers."""

"""How weights come to be: training regimes, transforms, quantisers."""

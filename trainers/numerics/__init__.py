"""The mathematics that regimes, transforms and quantisers share."""

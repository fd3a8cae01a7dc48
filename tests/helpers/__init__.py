"""What tests share: small models, sample tensors, broken codecs, the command, laboratories."""

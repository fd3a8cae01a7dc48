"""Where records and artifacts are kept: by hash, under leases, in folders or object stores."""

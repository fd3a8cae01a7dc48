"""Storage of records and artifacts: by hash, under leases, in folders or object stores."""

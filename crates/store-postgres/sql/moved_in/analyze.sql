analyze version, reference

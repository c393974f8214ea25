select store_id from store_identity

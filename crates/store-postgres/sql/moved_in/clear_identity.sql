delete from store_identity

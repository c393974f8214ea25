select 1 from store_identity for no key update

-- Whatever is stored belongs to a client.
select exists (select 1 from client) or exists (select 1 from purge_certificate)

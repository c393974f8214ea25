select exists (select 1 from client) or exists (select 1 from version) or exists (select 1 from purge_certificate)

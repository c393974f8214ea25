-- Purges that have ended and those in progress, a word that is another one whenever a purge has ended, and in every other cluster, and the last certificate.
select count(closed_on_ms), count(*) - count(closed_on_ms),
    (select system_identifier from pg_control_system())::text || '/' || count(closed_on_ms)::text || '/' || coalesce(sum(closed_on_ms), 0)::text,
    (select coalesce(max(number), 0) from purge_certificate)
from purge_audit

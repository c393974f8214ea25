select store_identity.store_id, lineage.line, lineage.journal_record, lineage.journal_hash, (select last_value from place)
from lineage
join store_identity on store_identity.only_row = lineage.only_row
where lineage.only_row = 1

select store_identity.store_id, lineage.line, lineage.journal_record, lineage.journal_hash, commit_order.last_seq
from lineage
join commit_order on commit_order.only_row = lineage.only_row
join store_identity on store_identity.only_row = lineage.only_row
where lineage.only_row = 1

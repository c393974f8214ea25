select create_distributed_table(
    'lethe.' || spread.table_name,
    'account_id',
    colocate_with => case when spread.place = 1 then 'none' else 'lethe.commit_order' end
)
from unnest(array[
    'commit_order', 'version', 'reference', 'type_total', 'purge_listed', 'purge_held'
]) with ordinality as spread (table_name, place)
order by spread.place

delete from lineage

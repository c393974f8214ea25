update legal_hold set ended_on_ms = $2, lifted_by = $3 where hold_number = $1 and ended_on_ms is null

select nextval('place')

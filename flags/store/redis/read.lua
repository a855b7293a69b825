-- Everything at one version. A script, for a server that is out of memory refuses reads in a
-- transaction, but not here.
--
-- KEYS  version, definitions.
-- Returns the version or nil, then the definitions: name, JSON, name, JSON, …
return {redis.call('GET', KEYS[1]), redis.call('HGETALL', KEYS[2])}

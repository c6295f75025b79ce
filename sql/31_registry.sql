-- The servers of the mesh: each member's primary and its standbys.
--
-- Primaries are in meridian.member. The standbys of a member are written down on its primary, and reach the standbys with
-- all its data. The other members learn of them when they probe that primary, and keep a copy: so every server knows all,
-- also after a restart at a time when that primary is down. Only the owning member changes its rows.

CREATE TABLE meridian.server (
  member integer NOT NULL REFERENCES meridian.member ON DELETE CASCADE,
  name text NOT NULL CHECK (name <> '' AND octet_length(name) <= 63),
  region text CHECK (region <> '' AND octet_length(region) <= 63),
  dsn text,
  weight integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 0 AND 1000),
  drained boolean NOT NULL DEFAULT false,
  upstream text,
  trusted boolean NOT NULL DEFAULT true,
  PRIMARY KEY (member, name)
);
COMMENT ON TABLE meridian.server IS 'The standbys of each member, and what is set for its primary. Written by the owning member; the others have a copy. Read view meridian.nodes.';
COMMENT ON COLUMN meridian.server.member IS 'The member whose data it has.';
COMMENT ON COLUMN meridian.server.name IS 'meridian.node of the server; the row of the member''s own name is about its primary.';
COMMENT ON COLUMN meridian.server.region IS 'Where it stands; NULL: in the region of its member.';
COMMENT ON COLUMN meridian.server.dsn IS 'Connection string under which every server reaches it; may hold a password. NULL: that of the member.';
COMMENT ON COLUMN meridian.server.weight IS 'Its share of the reads, against that of others; 0: none.';
COMMENT ON COLUMN meridian.server.drained IS 'Whether reads are kept from it for now.';
COMMENT ON COLUMN meridian.server.upstream IS 'The server that it is expected to stream from, as it told or was told.';
COMMENT ON COLUMN meridian.server.trusted IS 'Whether a superuser gave the connection string: it may then use files of the server''s account.';
REVOKE ALL ON meridian.server FROM PUBLIC;

CREATE TABLE meridian.reign (
  member integer PRIMARY KEY REFERENCES meridian.member ON DELETE CASCADE,
  system_id text NOT NULL,
  timeline integer NOT NULL,
  epoch integer NOT NULL
);
COMMENT ON TABLE meridian.reign IS 'The latest system, timeline and epoch that each member was seen to write under: a primary of an earlier one was left behind in a failover, also when the later one is down.';
COMMENT ON COLUMN meridian.reign.member IS 'The member.';
COMMENT ON COLUMN meridian.reign.system_id IS 'System identifier of the server that wrote for it.';
COMMENT ON COLUMN meridian.reign.timeline IS 'The timeline that it wrote.';
COMMENT ON COLUMN meridian.reign.epoch IS 'The member''s epoch there.';
REVOKE ALL ON meridian.reign FROM PUBLIC;

CREATE FUNCTION meridian.put_reign(member integer, system_id text, timeline integer, epoch integer) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
  INSERT INTO meridian.reign (member, system_id, timeline, epoch) SELECT m.id, $2, $3, $4 FROM meridian.member m WHERE m.id = $1
    ON CONFLICT (member) DO UPDATE SET system_id = EXCLUDED.system_id, timeline = EXCLUDED.timeline, epoch = EXCLUDED.epoch
$$;
COMMENT ON FUNCTION meridian.put_reign(integer, text, integer, integer) IS 'Remembers under what a member was seen to write.';
REVOKE ALL ON FUNCTION meridian.put_reign(integer, text, integer, integer) FROM PUBLIC;

CREATE FUNCTION meridian.check_server_dsn(dsn text, trusted boolean) RETURNS void
  LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_check_server_dsn';
COMMENT ON FUNCTION meridian.check_server_dsn(text, boolean) IS 'Raises an error unless a server may be registered with the connection string; trusted: by a superuser.';
REVOKE ALL ON FUNCTION meridian.check_server_dsn(text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.check_server_dsn(text, boolean) TO meridian_admin;

-- What servers tell each other ---------------------------------------------------------------------------------------

CREATE FUNCTION meridian.own_position(OUT system_id text, OUT timeline integer, OUT in_recovery boolean, OUT written pg_lsn,
                                      OUT received pg_lsn, OUT replayed pg_lsn, OUT paused boolean, OUT receiving boolean)
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_own_position';
COMMENT ON FUNCTION meridian.own_position() IS 'Where this server''s WAL stands: written (flushed) on a primary; received and replayed on a standby, on the timeline that it replays, whether replay is paused, and whether a WAL receiver streams.';

-- In PL/pgSQL, because the tables of the stream are created later.
CREATE FUNCTION meridian.applied_token() RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT 'm1' || string_agg(format('.%s-%s-%s', to_hex(p.system_id), to_hex(p.timeline), to_hex(p.lsn)), '' ORDER BY p.system_id)
      -- to_hex() takes no more than 63 bits.
      FROM (SELECT CASE WHEN h.system_id::numeric < 9223372036854775808 THEN h.system_id::bigint END AS system_id, h.timeline,
                   CASE WHEN min(h.lsn) < '80000000/0' THEN (min(h.lsn) - '0/0')::bigint END AS lsn
              FROM meridian.heartbeat h
             WHERE h.member <> (SELECT l.member FROM meridian.local_member l) AND h.lsn > '0/0'
             GROUP BY h.member, h.system_id, h.timeline
            HAVING count(*) = max(h.streams)
             ORDER BY 1 LIMIT 16) p
     WHERE p.system_id > 0 AND p.timeline > 0 AND p.lsn > 0);
END
$$;
COMMENT ON FUNCTION meridian.applied_token() IS 'Token of what the other members have written, as far as it can be read here by what they told; NULL if they told nothing.';
REVOKE ALL ON FUNCTION meridian.applied_token() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.applied_token() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.servers_digest(member integer) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT md5(string_agg(s::text, E'\n' ORDER BY s.name COLLATE "C")) FROM meridian.server s WHERE s.member = $1
$$;
COMMENT ON FUNCTION meridian.servers_digest(integer) IS 'The same on two servers that know the same of a member''s servers; NULL if it has only a primary.';
REVOKE ALL ON FUNCTION meridian.servers_digest(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.servers_digest(integer) TO meridian_admin;

CREATE FUNCTION meridian.own_servers()
  RETURNS TABLE (name text, region text, dsn text, weight integer, drained boolean, upstream text, trusted boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT s.name, s.region, s.dsn, s.weight, s.drained, s.upstream, s.trusted
    FROM meridian.server s WHERE s.member = (SELECT l.member FROM meridian.local_member l)
$$;
COMMENT ON FUNCTION meridian.own_servers() IS 'What this member has written down of its servers, passwords included: other members ask for it.';
REVOKE ALL ON FUNCTION meridian.own_servers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.own_servers() TO meridian_admin;

CREATE FUNCTION meridian.put_servers(member integer, names text[], regions text[], dsns text[], weights integer[], drained boolean[],
                                     upstreams text[], trusted boolean[]) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF EXISTS (SELECT FROM meridian.local_member l WHERE l.member = put_servers.member) THEN
    RETURN;
  END IF;
  DELETE FROM meridian.server s WHERE s.member = put_servers.member;
  INSERT INTO meridian.server (member, name, region, dsn, weight, drained, upstream, trusted)
    SELECT m.id, n.* FROM meridian.member m, unnest(names, regions, dsns, weights, put_servers.drained, upstreams, put_servers.trusted) n
     WHERE m.id = put_servers.member;
END
$$;
COMMENT ON FUNCTION meridian.put_servers(integer, text[], text[], text[], integer[], boolean[], text[], boolean[]) IS 'Keeps a copy of what another member has written down of its servers.';
REVOKE ALL ON FUNCTION meridian.put_servers(integer, text[], text[], text[], integer[], boolean[], text[], boolean[]) FROM PUBLIC;

CREATE FUNCTION meridian.answer_probe(with_report boolean, asker integer DEFAULT NULL, electorate bigint DEFAULT NULL, OUT mesh uuid, OUT member integer, OUT epoch integer, OUT server text,
                                      OUT system_id text, OUT timeline integer, OUT in_recovery boolean, OUT written pg_lsn,
                                      OUT received pg_lsn, OUT replayed pg_lsn, OUT paused boolean, OUT receiving boolean,
                                      OUT sender_host text, OUT sender_port integer, OUT applied text, OUT digest text, OUT lease integer, OUT report text)
  LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT l.mesh, l.member, l.epoch INTO mesh, member, epoch FROM meridian.local_member l;
  server := current_setting('meridian.node', true);
  SELECT p.system_id, p.timeline, p.in_recovery, p.written, p.received, p.replayed, p.paused, p.receiving
    INTO system_id, timeline, in_recovery, written, received, replayed, paused, receiving FROM meridian.own_position() p;
  applied := meridian.applied_token();
  IF pg_has_role(session_user, 'pg_monitor', 'USAGE') OR pg_has_role(session_user, 'meridian_admin', 'USAGE') THEN
    digest := meridian.servers_digest(member);
    IF in_recovery THEN
      SELECT r.sender_host, r.sender_port INTO sender_host, sender_port FROM pg_stat_get_wal_receiver() r;
    END IF;
    IF pg_has_role(session_user, 'meridian_admin', 'USAGE') THEN
      lease := meridian.acknowledge_home_lease(asker, electorate);
    END IF;
    IF with_report THEN
      report := meridian.status_report()::text;
    END IF;
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.answer_probe(boolean, integer, bigint) IS 'What another server''s prober asks: who this server is and where it stands; for monitors also its upstream, what it knows of its member''s servers (as a digest), and its report; for another member what it says to its lease.';

CREATE FUNCTION meridian.probe_targets()
  RETURNS TABLE (member integer, name text, region text, dsn text, is_primary boolean, weight integer, drained boolean, upstream text,
                 trusted boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT m.id, m.name, m.region, m.dsn, true, COALESCE(s.weight, 1), COALESCE(s.drained, false), NULL, true
    FROM meridian.member m LEFT JOIN meridian.server s ON s.member = m.id AND s.name = m.name
  UNION ALL
  SELECT s.member, s.name, COALESCE(s.region, m.region), s.dsn, false, s.weight, s.drained, s.upstream, s.trusted
    FROM meridian.server s JOIN meridian.member m ON m.id = s.member
   WHERE s.name <> m.name AND s.dsn IS NOT NULL
   ORDER BY 5 DESC, 1, 2
$$;
COMMENT ON FUNCTION meridian.probe_targets() IS 'The servers that this server''s prober asks, primaries first, passwords included.';
REVOKE ALL ON FUNCTION meridian.probe_targets() FROM PUBLIC;

CREATE FUNCTION meridian.probe_context()
  RETURNS TABLE (member integer, own boolean, mesh uuid, system_id text, timeline integer, epoch integer, digest text,
                 seen_system_id text, seen_timeline integer, seen_epoch integer)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT m.id, m.id = l.member, l.mesh,
         CASE WHEN m.id = l.member THEN l.system_id ELSE COALESCE(h.system_id, m.system_id) END,
         CASE WHEN m.id = l.member THEN l.timeline ELSE COALESCE(h.timeline, 0) END,
         CASE WHEN m.id = l.member THEN l.epoch ELSE COALESCE((SELECT max(p.epoch) FROM meridian.progress p WHERE p.member = m.id), 0) END,
         meridian.servers_digest(m.id), r.system_id, r.timeline, r.epoch
    FROM (SELECT * FROM meridian.local_member LIMIT 1) l CROSS JOIN meridian.member m
    LEFT JOIN LATERAL (SELECT b.system_id, b.timeline FROM meridian.heartbeat b WHERE b.member = m.id
                        ORDER BY b.published_at DESC LIMIT 1) h ON true
    LEFT JOIN meridian.reign r ON r.member = m.id;
END
$$;
COMMENT ON FUNCTION meridian.probe_context() IS 'Per member: the latest system, timeline and epoch that this server knows that it has written under (0: not known), the digest of what it knows of its servers, and what meridian.reign says.';
REVOKE ALL ON FUNCTION meridian.probe_context() FROM PUBLIC;

-- What was probed ----------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.server_probes()
  RETURNS TABLE (server text, member integer, region text, role_expected text, role text, upstream text, dsn text, system_id text,
                 timeline integer, state text, weight integer, drained boolean, since timestamptz, last_seen timestamptz,
                 sample_age interval, insert_lsn pg_lsn, receive_lsn pg_lsn, replay_lsn pg_lsn, lag_bytes bigint, lag interval,
                 paused boolean, receiver_alive boolean, error text)
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'meridian_server_probes';
COMMENT ON FUNCTION meridian.server_probes() IS 'Every server as this one''s prober saw it last, from shared memory; NULL is not known. state: unknown, up, suspect, down, drained, promoted, diverged. insert_lsn: how far a primary has flushed its WAL. lag: the age of what the server has not replayed, by this server''s clock alone. dsn: only the address for users who are neither meridian_admin nor pg_monitor, and error only for those.';

CREATE FUNCTION meridian.probed_reports() RETURNS TABLE (server text, sample_age interval, report jsonb)
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'meridian_probed_reports';
COMMENT ON FUNCTION meridian.probed_reports() IS 'What each server reported of itself when it was probed last, this one included; {"cut": true} if that was larger than 64 kB.';
REVOKE ALL ON FUNCTION meridian.probed_reports() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.probed_reports() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.prober_status(OUT pid integer, OUT rounds bigint, OUT probes bigint, OUT failures bigint, OUT servers integer,
                                       OUT left_out integer)
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_prober_status';
COMMENT ON FUNCTION meridian.prober_status() IS 'What this server''s prober has done since the server started; pid is NULL while it does not run. left_out: servers beyond meridian.max_servers, which are not probed. NULLs if meridian was not loaded at server start.';

-- Changes ------------------------------------------------------------------------------------------------------------
-- A change is made on the primary of the owning member. Called elsewhere, it is carried there by a worker.

CREATE FUNCTION meridian.carry_change(owner integer, dsns text[], step text, arguments text[]) RETURNS void
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_carry_change';
COMMENT ON FUNCTION meridian.carry_change(integer, text[], text, text[]) IS 'Has change_registry() called on the first of these servers that answers as the primary of the member.';
REVOKE ALL ON FUNCTION meridian.carry_change(integer, text[], text, text[]) FROM PUBLIC;

CREATE FUNCTION meridian.put_standby(name text, region text, dsn text, weight integer, upstream text, trusted boolean) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  self integer := (SELECT l.member FROM meridian.local_member l);
  owner text;
BEGIN
  SELECT m.name INTO owner FROM meridian.member m WHERE m.name = put_standby.name;
  IF owner IS NULL THEN
    SELECT m.name INTO owner FROM meridian.server s JOIN meridian.member m ON m.id = s.member
     WHERE s.name = put_standby.name AND s.member <> self;
  END IF;
  IF owner IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'duplicate_object', MESSAGE = format('server "%s" belongs to node "%s"', name, owner),
      HINT = 'Every server has a name of its own: its setting meridian.node.';
  END IF;
  INSERT INTO meridian.server AS s (member, name, region, dsn, weight, upstream, trusted)
    VALUES (self, put_standby.name, put_standby.region, put_standby.dsn, COALESCE(put_standby.weight, 1), put_standby.upstream, put_standby.trusted)
    ON CONFLICT ON CONSTRAINT server_pkey DO UPDATE
      SET region = EXCLUDED.region, dsn = EXCLUDED.dsn, weight = COALESCE(put_standby.weight, s.weight), upstream = EXCLUDED.upstream,
          trusted = EXCLUDED.trusted;
END
$$;
COMMENT ON FUNCTION meridian.put_standby(text, text, text, integer, text, boolean) IS 'Step of add_standby(): writes it down on the primary. Of a standby that is known, weight NULL and drained stay.';
REVOKE ALL ON FUNCTION meridian.put_standby(text, text, text, integer, text, boolean) FROM PUBLIC;

CREATE FUNCTION meridian.register_standby(name text, region text, dsn text, upstream text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  trusted boolean := (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = session_user);
BEGIN
  PERFORM meridian.check_server_dsn(dsn, trusted);
  PERFORM meridian.put_standby(name, region, dsn, NULL, upstream, trusted);
END
$$;
COMMENT ON FUNCTION meridian.register_standby(text, text, text, text) IS 'A standby tells its primary who it is; its prober calls it there with meridian.node, meridian.region and meridian.advertise_dsn.';
REVOKE ALL ON FUNCTION meridian.register_standby(text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.register_standby(text, text, text, text) TO meridian_admin;

CREATE FUNCTION meridian.put_setting(name text, weight integer, drained boolean, region text, dsn text, trusted boolean) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  self integer := (SELECT l.member FROM meridian.local_member l);
BEGIN
  INSERT INTO meridian.server (member, name)
    SELECT m.id, m.name FROM meridian.member m WHERE m.id = self AND m.name = put_setting.name
    ON CONFLICT DO NOTHING;
  UPDATE meridian.server s
     SET weight = COALESCE(put_setting.weight, s.weight), drained = COALESCE(put_setting.drained, s.drained),
         region = COALESCE(put_setting.region, s.region), dsn = COALESCE(put_setting.dsn, s.dsn),
         trusted = CASE WHEN put_setting.dsn IS NULL THEN s.trusted ELSE put_setting.trusted END
   WHERE s.member = self AND s.name = put_setting.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('server "%s" is not known', name),
      HINT = 'See the view meridian.nodes.';
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.put_setting(text, integer, boolean, text, text, boolean) IS 'Step of set_node(), drain_node() and undrain_node(): writes down on the primary what is not NULL.';
REVOKE ALL ON FUNCTION meridian.put_setting(text, integer, boolean, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION meridian.remove_standby(name text) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
  DELETE FROM meridian.server s USING meridian.local_member l WHERE s.member = l.member AND s.name = $1
$$;
COMMENT ON FUNCTION meridian.remove_standby(text) IS 'Step of drop_node() of a standby.';
REVOKE ALL ON FUNCTION meridian.remove_standby(text) FROM PUBLIC;

CREATE FUNCTION meridian.owner_of(server text) RETURNS integer
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  owner integer;
BEGIN
  SELECT t.member INTO owner FROM meridian.probe_targets() t WHERE t.name = server ORDER BY t.is_primary DESC LIMIT 1;
  IF owner IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('server "%s" is not known', server),
      HINT = 'See the view meridian.nodes.';
  END IF;
  RETURN owner;
END
$$;
COMMENT ON FUNCTION meridian.owner_of(text) IS 'The member that a server belongs to.';
REVOKE ALL ON FUNCTION meridian.owner_of(text) FROM PUBLIC;

CREATE FUNCTION meridian.change_registry(owner integer, step text, arguments text[]) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  a text[] := arguments;
BEGIN
  IF owner <> (SELECT l.member FROM meridian.local_member l) OR pg_is_in_recovery() THEN
    -- The server that writes for the member now comes first, then the one that its members know.
    PERFORM meridian.carry_change(owner, array_agg(t.dsn ORDER BY p.server IS NULL, t.is_primary DESC), step, a)
       FROM meridian.probe_targets() t
       LEFT JOIN meridian.server_probes() p ON p.member = t.member AND p.server = t.name AND p.role = 'primary' AND p.state <> 'diverged'
      WHERE t.member = owner AND (t.is_primary OR p.server IS NOT NULL);
  ELSIF step = 'add_standby' THEN
    PERFORM meridian.put_standby(a[1], a[2], a[3], a[4]::integer, a[5], a[6]::boolean);
  ELSIF step = 'set_server' THEN
    PERFORM meridian.put_setting(a[1], a[2]::integer, a[3]::boolean, a[4], a[5], a[6]::boolean);
  ELSE
    PERFORM meridian.remove_standby(a[1]);
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.change_registry(integer, text, text[]) IS 'Makes a change here if this is the primary of the owner, else has it carried there.';
REVOKE ALL ON FUNCTION meridian.change_registry(integer, text, text[]) FROM PUBLIC;

CREATE FUNCTION meridian.add_standby(name text, dsn text, region text DEFAULT NULL, weight integer DEFAULT 1, upstream text DEFAULT NULL)
  RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  trusted boolean := (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = session_user);
  self integer := (SELECT l.member FROM meridian.local_member l);
BEGIN
  IF self IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'MD020', MESSAGE = 'this database is not a member of a mesh',
      HINT = 'Call meridian.create_node() or meridian.join() first.';
  END IF;
  IF name IS NULL OR name = '' OR octet_length(name) > 63 THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'the name of the standby must have 1 to 63 bytes',
      HINT = 'Give the value of meridian.node on that server.';
  END IF;
  IF dsn IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'a standby needs a connection string',
      HINT = 'Give the one under which all servers reach it.';
  END IF;
  PERFORM meridian.check_weight(weight);
  PERFORM meridian.check_server_dsn(dsn, trusted);
  PERFORM meridian.change_registry(self, 'add_standby', ARRAY[name, region, dsn, weight::text, upstream, trusted::text]);
END
$$;
COMMENT ON FUNCTION meridian.add_standby(text, text, text, integer, text) IS 'Registers a standby of this member: reads are routed to it, and it is watched. A standby with meridian.advertise_dsn registers itself. Called again it changes what was given.';
REVOKE ALL ON FUNCTION meridian.add_standby(text, text, text, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.add_standby(text, text, text, integer, text) TO meridian_admin;

CREATE FUNCTION meridian.check_weight(weight integer) RETURNS void
  LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF weight NOT BETWEEN 0 AND 1000 THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('weight %s is not between 0 and 1000', weight),
      HINT = 'Weights are shares: 3 gets three times the reads of 1, and 0 none.';
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.check_weight(integer) IS 'Raises an error unless it is a weight of a server.';
REVOKE ALL ON FUNCTION meridian.check_weight(integer) FROM PUBLIC;

CREATE FUNCTION meridian.set_node(name text, weight integer DEFAULT NULL, region text DEFAULT NULL, dsn text DEFAULT NULL) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  trusted boolean := (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = session_user);
BEGIN
  PERFORM meridian.check_weight(weight);
  IF dsn IS NOT NULL THEN
    PERFORM meridian.check_server_dsn(dsn, trusted);
  END IF;
  IF (region IS NOT NULL OR dsn IS NOT NULL) AND EXISTS (SELECT FROM meridian.member m WHERE m.name = set_node.name) THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('region and dsn of node "%s" are those of its join', name),
      HINT = 'Drop the node and let it join again; the weight alone can be set.';
  END IF;
  PERFORM meridian.change_registry(meridian.owner_of(name), 'set_server', ARRAY[name, weight::text, NULL, region, dsn, trusted::text]);
END
$$;
COMMENT ON FUNCTION meridian.set_node(text, integer, text, text) IS 'Sets the weight of a server for reads (0 to 1000; 0: none), or region and connection string of a standby. Whatever is NULL stays.';
REVOKE ALL ON FUNCTION meridian.set_node(text, integer, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.set_node(text, integer, text, text) TO meridian_admin;

CREATE FUNCTION meridian.drain_node(name text) RETURNS void
  LANGUAGE sql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT meridian.change_registry(meridian.owner_of($1), 'set_server', ARRAY[$1, NULL, 'true', NULL, NULL, NULL])
$$;
COMMENT ON FUNCTION meridian.drain_node(text) IS 'Keeps reads from a server, for maintenance: no route leads there until undrain_node(). A primary goes on taking writes.';
REVOKE ALL ON FUNCTION meridian.drain_node(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.drain_node(text) TO meridian_admin;

CREATE FUNCTION meridian.undrain_node(name text) RETURNS void
  LANGUAGE sql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT meridian.change_registry(meridian.owner_of($1), 'set_server', ARRAY[$1, NULL, 'false', NULL, NULL, NULL])
$$;
COMMENT ON FUNCTION meridian.undrain_node(text) IS 'Lets reads go to a server again.';
REVOKE ALL ON FUNCTION meridian.undrain_node(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.undrain_node(text) TO meridian_admin;

CREATE FUNCTION meridian.drop_standby(name text) RETURNS boolean
  LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  owner integer;
BEGIN
  SELECT s.member INTO owner FROM meridian.server s
   WHERE s.name = drop_standby.name AND NOT EXISTS (SELECT FROM meridian.member m WHERE m.name = drop_standby.name) LIMIT 1;
  IF owner IS NULL THEN
    RETURN false;
  END IF;
  PERFORM meridian.change_registry(owner, 'drop_server', ARRAY[name]);
  RETURN true;
END
$$;
COMMENT ON FUNCTION meridian.drop_standby(text) IS 'drop_node() of a standby; false if no standby has the name.';
REVOKE ALL ON FUNCTION meridian.drop_standby(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.drop_standby(text) TO meridian_admin;

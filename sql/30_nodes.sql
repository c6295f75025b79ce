-- Members of the mesh and the steps by which they are joined, linked and removed.
--
-- A set-up function (create_node, join, leave, drop_node) runs in the caller only as far as starting a background
-- worker; the worker connects to every node and calls the steps below there. Steps are repeatable: a step that finds
-- its work done does nothing.

CREATE TABLE meridian.member (
  id integer PRIMARY KEY CHECK (id BETWEEN 1 AND 65535),
  name text NOT NULL UNIQUE CHECK (name <> '' AND octet_length(name) <= 63),
  region text NOT NULL CHECK (region <> '' AND octet_length(region) <= 63),
  dsn text NOT NULL,
  system_id text NOT NULL,
  joined_at timestamptz NOT NULL DEFAULT now(),
  state text NOT NULL DEFAULT 'active' CHECK (state IN ('joining', 'active')),
  streams integer NOT NULL DEFAULT 1 CHECK (streams BETWEEN 1 AND 16)
);
COMMENT ON TABLE meridian.member IS 'The members of the mesh; the same rows on every member, written there by the set-up functions.';
COMMENT ON COLUMN meridian.member.id IS 'Number of the member, never given twice in the life of a mesh: it is part of the stamps in the rows.';
COMMENT ON COLUMN meridian.member.name IS 'First argument of create_node() or join().';
COMMENT ON COLUMN meridian.member.region IS 'Region that the member serves.';
COMMENT ON COLUMN meridian.member.dsn IS 'Connection string under which every other member reaches this one; may hold a password.';
COMMENT ON COLUMN meridian.member.system_id IS 'System identifier of the member''s cluster.';
COMMENT ON COLUMN meridian.member.joined_at IS 'When create_node() or join() wrote the row.';
COMMENT ON COLUMN meridian.member.state IS 'joining until join() has copied every row, then active.';
COMMENT ON COLUMN meridian.member.streams IS 'Through how many streams the member reads from each other one: argument of create_node() or join().';
REVOKE ALL ON meridian.member FROM PUBLIC;
GRANT SELECT ON meridian.member TO meridian_admin;

CREATE TABLE meridian.issued_id (
  kind text PRIMARY KEY CHECK (kind IN ('member', 'table')),
  last integer NOT NULL
);
COMMENT ON TABLE meridian.issued_id IS 'Largest member and table number ever given in this mesh, known to every member, so that none is given twice.';
COMMENT ON COLUMN meridian.issued_id.kind IS 'member or table.';
COMMENT ON COLUMN meridian.issued_id.last IS 'Largest number given.';
REVOKE ALL ON meridian.issued_id FROM PUBLIC;
GRANT SELECT ON meridian.issued_id TO meridian_admin;

-- What the rest of the mesh sees of this server --------------------------------------------------------------------

CREATE FUNCTION meridian.redact_dsn(dsn text) RETURNS text
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_redact_dsn';
COMMENT ON FUNCTION meridian.redact_dsn(text) IS 'The connection string without its passwords.';

CREATE FUNCTION meridian.replication_peers()
  RETURNS TABLE (slot_name name, application_name text, state text, replay_lsn pg_lsn, reply_time timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT s.slot_name, a.application_name, w.state, w.replay_lsn, w.reply_time
    FROM pg_stat_get_wal_senders() w
    JOIN pg_stat_get_activity(NULL) a ON a.pid = w.pid
    LEFT JOIN pg_replication_slots s ON s.active_pid = w.pid
$$;
COMMENT ON FUNCTION meridian.replication_peers() IS 'Servers that stream from this one now: peers of the mesh through their slots, and standbys.';

CREATE FUNCTION meridian.server_timeline() RETURNS integer
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN pg_is_in_recovery() THEN (pg_control_checkpoint()).timeline_id
              ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer END
$$;
COMMENT ON FUNCTION meridian.server_timeline() IS 'Timeline that this server writes (a standby: of its last checkpoint).';

CREATE FUNCTION meridian.node_facts(members integer, readers integer, subscriptions integer)
  RETURNS TABLE (system_id text, started_at bigint, database_oid oid, database name, in_recovery boolean, superuser boolean,
                 server text, timeline integer, mesh uuid, member integer, member_state text, publication boolean,
                 last_member integer, last_table integer, problems text)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT c.system_identifier::text INTO system_id FROM pg_control_system() c;
  started_at := (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint;
  SELECT d.oid, d.datname INTO database_oid, database FROM pg_database d WHERE d.datname = current_database();
  in_recovery := pg_is_in_recovery();
  superuser := current_setting('is_superuser')::boolean;
  server := current_setting('meridian.node', true);
  timeline := meridian.server_timeline();
  SELECT l.mesh, l.member, m.state INTO mesh, member, member_state
    FROM meridian.local_member l LEFT JOIN meridian.member m ON m.id = l.member;
  publication := EXISTS (SELECT FROM pg_publication WHERE pubname = 'meridian');
  last_member := COALESCE((SELECT last FROM meridian.issued_id WHERE kind = 'member'), 0);
  last_table := COALESCE((SELECT last FROM meridian.issued_id WHERE kind = 'table'), 0);
  SELECT string_agg(COALESCE(c.fix, c.setting || ': ' || c.required), E'\n') INTO problems
    FROM meridian.config_items(members, readers, subscriptions) c WHERE c.mandatory AND NOT c.ok;
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION meridian.node_facts(integer, integer, integer) IS 'What a set-up function needs to know of this node before it changes anything; problems: settings that a mesh of so many members needs, if so many streams are read from this node and it reads so many itself.';
REVOKE ALL ON FUNCTION meridian.node_facts(integer, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.node_facts(integer, integer, integer) TO meridian_admin;

-- Steps ------------------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.become_member(mesh uuid, id integer) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO meridian.local_member (mesh, member, epoch, server, system_id, timeline)
    SELECT become_member.mesh, become_member.id, 1, current_setting('meridian.node'), c.system_identifier::text,
           meridian.server_timeline()
      FROM pg_control_system() c
    ON CONFLICT DO NOTHING;
  PERFORM meridian.begin_generation(1) WHERE NOT EXISTS (SELECT FROM meridian.generation);
  IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = 'meridian') THEN
    CREATE PUBLICATION meridian FOR TABLE ONLY meridian.tombstone, ONLY meridian.progress, ONLY meridian.heartbeat
      WITH (publish = 'insert', publish_via_partition_root = true);
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.become_member(uuid, integer) IS 'Step of create_node() and join(): writes who this server is and creates the publication.';
REVOKE ALL ON FUNCTION meridian.become_member(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.become_member(uuid, integer) TO meridian_admin;

CREATE FUNCTION meridian.note_issued(kind text, last integer) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
  INSERT INTO meridian.issued_id AS i (kind, last) VALUES ($1, $2)
    ON CONFLICT (kind) DO UPDATE SET last = GREATEST(i.last, EXCLUDED.last)
$$;
COMMENT ON FUNCTION meridian.note_issued(text, integer) IS 'Step: remembers that member or table numbers up to this one have been given.';
REVOKE ALL ON FUNCTION meridian.note_issued(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.note_issued(text, integer) TO meridian_admin;

CREATE FUNCTION meridian.add_member(id integer, name text, region text, dsn text, system_id text, joined_at timestamptz, state text,
                                    streams integer)
  RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
  INSERT INTO meridian.member AS m (id, name, region, dsn, system_id, joined_at, state, streams)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (id) DO UPDATE SET state = EXCLUDED.state, dsn = EXCLUDED.dsn
      WHERE m.name = EXCLUDED.name AND m.system_id = EXCLUDED.system_id
$$;
COMMENT ON FUNCTION meridian.add_member(integer, text, text, text, text, timestamptz, text, integer) IS 'Step: makes a member known to this node.';
REVOKE ALL ON FUNCTION meridian.add_member(integer, text, text, text, text, timestamptz, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.add_member(integer, text, text, text, text, timestamptz, text, integer) TO meridian_admin;

CREATE FUNCTION meridian.subscribe(peer integer) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  dsn text;
  link record;
  code text; message text; detail text; hint text;
BEGIN
  SELECT m.dsn INTO STRICT dsn FROM meridian.member m WHERE m.id = peer;
  FOR link IN SELECT n.subscription, n.slot
                FROM meridian.local_member l JOIN meridian.member m ON m.id = l.member,
                     unnest(meridian.stream_names(peer, m.streams), meridian.stream_names(m.id, m.streams)) n(subscription, slot)
               WHERE NOT EXISTS (SELECT FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
                                  WHERE s.subname = n.subscription AND d.datname = current_database()) LOOP
    -- An error in EXECUTE would put the statement, password included, into the log as its context: raise it afresh.
    BEGIN
      EXECUTE format('CREATE SUBSCRIPTION %I CONNECTION %L PUBLICATION meridian WITH (create_slot = false, slot_name = %L, '
                     'copy_data = false, streaming = off, binary = true, two_phase = false, enabled = false)',
                     link.subscription, dsn, link.slot);
      CONTINUE;
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    END;
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, DETAIL = detail,
      HINT = COALESCE(NULLIF(hint, ''), format('node %s must be reachable from this server by the dsn that it was given', peer));
  END LOOP;
END
$$;
COMMENT ON FUNCTION meridian.subscribe(integer) IS 'Step: creates the subscriptions to a member, one for each stream of this node, disabled; their slots exist there already.';
REVOKE ALL ON FUNCTION meridian.subscribe(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.subscribe(integer) TO meridian_admin;

CREATE FUNCTION meridian.unsubscribe(peer integer) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  subscription name;
BEGIN
  FOR subscription IN SELECT s.subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
                       WHERE (meridian.stream_of(s.subname)).member = peer AND d.datname = current_database() LOOP
    EXECUTE format('ALTER SUBSCRIPTION %I DISABLE', subscription);
    -- The slot is dropped on its own server, which may be gone.
    EXECUTE format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', subscription);
    EXECUTE format('DROP SUBSCRIPTION %I', subscription);
  END LOOP;
END
$$;
COMMENT ON FUNCTION meridian.unsubscribe(integer) IS 'Step: drops the subscriptions to a member, not the slots there.';
REVOKE ALL ON FUNCTION meridian.unsubscribe(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.unsubscribe(integer) TO meridian_admin;

CREATE FUNCTION meridian.drop_slots(peer integer) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  slot name;
  pid integer;
  deadline timestamptz := clock_timestamp() + interval '20 s';
BEGIN
  -- The member's apply workers, if they still run, come back after each termination: be quicker, more than once. A slot may be
  -- held for a moment by a process that it does not show.
  WHILE clock_timestamp() < deadline LOOP
    SELECT s.slot_name, s.active_pid INTO slot, pid FROM pg_replication_slots s
     WHERE (meridian.stream_of(s.slot_name)).member = peer AND s.plugin = 'meridian_mesh' LIMIT 1;
    IF NOT FOUND THEN
      RETURN;
    END IF;
    IF pid IS NOT NULL THEN
      PERFORM pg_terminate_backend(pid, 10000);
    END IF;
    BEGIN
      PERFORM pg_drop_replication_slot(slot);
    EXCEPTION
      WHEN object_in_use THEN
        PERFORM pg_sleep(0.02);
      WHEN undefined_object THEN
        -- It was still being created, and went away with its backend.
        NULL;
    END;
  END LOOP;
  RAISE EXCEPTION USING ERRCODE = 'object_in_use', MESSAGE = format('replication slot %I is taken again and again', slot),
    HINT = 'ALTER SUBSCRIPTION ... DISABLE on the server that uses it, then repeat the call.';
END
$$;
COMMENT ON FUNCTION meridian.drop_slots(integer) IS 'Step: drops the slots through which a member reads from this node.';
REVOKE ALL ON FUNCTION meridian.drop_slots(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.drop_slots(integer) TO meridian_admin;

CREATE FUNCTION meridian.remove_member(peer integer) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM meridian.unsubscribe(peer);
  PERFORM meridian.drop_slots(peer);
  DELETE FROM meridian.progress p WHERE p.member = peer;
  DELETE FROM meridian.heartbeat h WHERE h.member = peer;
  DELETE FROM meridian.member m WHERE m.id = peer;
END
$$;
COMMENT ON FUNCTION meridian.remove_member(integer) IS 'Step: forgets a member: subscriptions, slots and row.';
REVOKE ALL ON FUNCTION meridian.remove_member(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.remove_member(integer) TO meridian_admin;

CREATE FUNCTION meridian.forget_mesh() RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  peer integer;
BEGIN
  -- By catalog, not by meridian.member: a half-made join may know less than it has created.
  FOR peer IN SELECT DISTINCT (meridian.stream_of(s.subname)).member FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
               WHERE d.datname = current_database() LOOP
    PERFORM meridian.unsubscribe(peer);
  END LOOP;
  FOR peer IN SELECT DISTINCT (meridian.stream_of(s.slot_name)).member FROM pg_replication_slots s
               WHERE s.plugin = 'meridian_mesh' AND s.database = current_database() LOOP
    PERFORM meridian.drop_slots(peer);
  END LOOP;
  DROP PUBLICATION IF EXISTS meridian;
  PERFORM meridian.detach_table(t.id) FROM meridian.replicated_table t;
  DELETE FROM meridian.tombstone;
  DELETE FROM meridian.progress;
  DELETE FROM meridian.heartbeat;
  DELETE FROM meridian.generation;
  DELETE FROM meridian.home_change;
  DELETE FROM meridian.home_pin;
  DELETE FROM meridian.home_map;
  DELETE FROM meridian.member;
  DELETE FROM meridian.issued_id;
  DELETE FROM meridian.local_member;
END
$$;
COMMENT ON FUNCTION meridian.forget_mesh() IS 'Step: this node is no member any more; its tables keep their rows.';
REVOKE ALL ON FUNCTION meridian.forget_mesh() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.forget_mesh() TO meridian_admin;

CREATE FUNCTION meridian.mark_position() RETURNS pg_lsn
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'meridian_mark_position';
COMMENT ON FUNCTION meridian.mark_position() IS 'Writes a mark into the WAL, flushes it and returns its end: a position that every peer will confirm, even if nothing else is written.';
REVOKE ALL ON FUNCTION meridian.mark_position() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.mark_position() TO meridian_admin;

CREATE FUNCTION meridian.peer_positions(target pg_lsn)
  RETURNS TABLE (id integer, name text, connected boolean, complete boolean, reached boolean, replayed pg_lsn)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT m.id, m.name, bool_or(w.pid IS NOT NULL), bool_and(w.pid IS NOT NULL), bool_and(COALESCE(w.replay_lsn >= $1, false)),
         CASE WHEN bool_and(w.replay_lsn IS NOT NULL) THEN min(w.replay_lsn) END
    FROM meridian.member m
    CROSS JOIN LATERAL unnest(meridian.stream_names(m.id, m.streams)) n(slot)
    LEFT JOIN pg_replication_slots s ON s.slot_name = n.slot
    LEFT JOIN pg_stat_get_wal_senders() w ON w.pid = s.active_pid
   WHERE m.id <> (SELECT l.member FROM meridian.local_member l)
   GROUP BY m.id, m.name
   ORDER BY m.id
$$;
COMMENT ON FUNCTION meridian.peer_positions(pg_lsn) IS 'Per other member: whether it streams from this node now, through some of its streams (connected) and through all (complete), and whether it has applied everything up to the position through each of them; replayed: the stream that is farthest behind.';
REVOKE ALL ON FUNCTION meridian.peer_positions(pg_lsn) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.peer_positions(pg_lsn) TO meridian_admin;

-- Public functions -------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.create_node(name text, region text, dsn text, streams integer DEFAULT 1) RETURNS integer
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_create_node';
COMMENT ON FUNCTION meridian.create_node(text, text, text, integer) IS 'Makes this database the first node of a new mesh and returns its number. The dsn is the one under which other nodes will reach it; streams: through how many streams it will read from each of them.';
REVOKE ALL ON FUNCTION meridian.create_node(text, text, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.create_node(text, text, text, integer) TO meridian_admin;

CREATE FUNCTION meridian.join(name text, region text, dsn text, via text, streams integer DEFAULT 1) RETURNS integer
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_join';
COMMENT ON FUNCTION meridian.join(text, text, text, text, integer) IS 'Joins this database to the mesh that via, the connection string of any member, belongs to, and returns its number. Rows on either side reach the other. It reads from each member through so many streams, split by key: they are applied at the same time, and a transaction arrives in as many parts.';
REVOKE ALL ON FUNCTION meridian.join(text, text, text, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.join(text, text, text, text, integer) TO meridian_admin;

CREATE FUNCTION meridian.leave() RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'meridian_leave';
COMMENT ON FUNCTION meridian.leave() IS 'Takes this node out of its mesh, once the others have all that it wrote. Its tables keep their rows and lose what Meridian added.';
REVOKE ALL ON FUNCTION meridian.leave() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.leave() TO meridian_admin;

CREATE FUNCTION meridian.drop_node(name text) RETURNS void
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_drop_node';
COMMENT ON FUNCTION meridian.drop_node(text) IS 'Removes another node, which may be gone, from every member that can be reached, after these have sent each other what they have of it. Of a standby: forgets that it was registered; one that still advertises itself registers again.';
REVOKE ALL ON FUNCTION meridian.drop_node(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.drop_node(text) TO meridian_admin;

CREATE FUNCTION meridian.wait_converged(timeout interval DEFAULT '30s') RETURNS boolean
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_wait_converged';
COMMENT ON FUNCTION meridian.wait_converged(interval) IS 'Waits until all that this node committed before the call is applied and visible on every reachable peer. False if a connected peer is behind when the time is over, or if a change is parked here or, as they told about a second ago, on a peer.';
REVOKE ALL ON FUNCTION meridian.wait_converged(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.wait_converged(interval) TO meridian_admin;

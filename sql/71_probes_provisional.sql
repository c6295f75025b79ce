-- What the prober knows of every server. Until there is a prober: this server alone.

CREATE FUNCTION meridian.server_probes()
  RETURNS TABLE (server text, member integer, region text, role_expected text, role text, upstream text, dsn text, system_id text, timeline integer,
                 state text, weight integer, drained boolean, since timestamptz, last_seen timestamptz, sample_age interval, insert_lsn pg_lsn,
                 receive_lsn pg_lsn, replay_lsn pg_lsn, lag_bytes bigint, lag interval, paused boolean, receiver_alive boolean, error text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r jsonb := meridian.status_report();
BEGIN
  RETURN QUERY SELECT r ->> 'server', (r ->> 'member')::integer, r ->> 'region', r ->> 'role', r ->> 'role', NULL::text, NULL::text, r ->> 'system_id',
    (r ->> 'timeline')::integer, 'up', 1, false, pg_postmaster_start_time(), now(), interval '0', NULL::pg_lsn, NULL::pg_lsn, NULL::pg_lsn,
    NULL::bigint, NULL::interval, (r -> 'receiver' ->> 'paused')::boolean, (r -> 'receiver' ->> 'alive')::boolean, NULL::text;
END
$$;
COMMENT ON FUNCTION meridian.server_probes() IS 'Every server that is known, as it was probed last.';
REVOKE ALL ON FUNCTION meridian.server_probes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.server_probes() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.probed_reports() RETURNS TABLE (server text, sample_age interval, report jsonb)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r jsonb := meridian.status_report();
BEGIN
  RETURN QUERY SELECT r ->> 'server', interval '0', r;
END
$$;
COMMENT ON FUNCTION meridian.probed_reports() IS 'The status_report() of every server, as it was probed last.';
REVOKE ALL ON FUNCTION meridian.probed_reports() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.probed_reports() TO meridian_admin, pg_monitor;

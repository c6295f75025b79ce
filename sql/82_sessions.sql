-- Sessions of an application, which write and read over any connections.

CREATE FUNCTION meridian.session_token(session text) RETURNS text
  LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_session_token';
COMMENT ON FUNCTION meridian.session_token(text) IS 'A token of all that the session has written on this primary; for a session that is not known, of all that it may have written. A standby asks its primary, for at most meridian.read_after_timeout; MD033 if it cannot.';

CREATE FUNCTION meridian.check_session(session text) RETURNS text
  LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_check_session';
COMMENT ON FUNCTION meridian.check_session(text) IS 'Whether all that the session has written can be read on this server now: yes or not_yet. A standby says yes only when the primary, asked after this call began, has told where the session wrote last; MD033 if it cannot be asked.';

CREATE FUNCTION meridian.wait_for_session(session text, timeout interval DEFAULT '1s') RETURNS text
  LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_wait_for_session';
COMMENT ON FUNCTION meridian.wait_for_session(text, interval) IS 'Waits until all that the session had written before this call can be read on this server: reached, timeout, or lost (a failover left it behind). The statement that calls it holds a snapshot meanwhile, and does not see what it waited for: read in the next one. Better: set meridian.read_after to session_token().';

CREATE FUNCTION meridian.session_positions(sessions text[]) RETURNS TABLE (place integer, token text, written_us bigint)
  LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_session_positions';
COMMENT ON FUNCTION meridian.session_positions(text[]) IS 'session_token() of several sessions, unsigned, in their order; with the time of the write in microseconds since 2000. Standbys ask their primaries with it.';

CREATE FUNCTION meridian.sticky_until(session text) RETURNS timestamptz
  LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_sticky_until';
COMMENT ON FUNCTION meridian.sticky_until(text) IS 'Until when reads of the session should stay on this primary, for applications that cannot pass tokens: its last write and the replay lag that 99 % of the last hour''s samples did not exceed (meridian.sticky_default if there is no sample). NULL if every replica has what it wrote. An estimate, where tokens and check_session() are exact.';

CREATE FUNCTION meridian.forget_session(session text) RETURNS boolean
  LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_forget_session';
COMMENT ON FUNCTION meridian.forget_session(text) IS 'Drops a session from this server''s memory; false if it was not there. It is then treated as one that is not known: as if it had just written.';
REVOKE ALL ON FUNCTION meridian.forget_session(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.forget_session(text) TO meridian_admin;

CREATE FUNCTION meridian.read_sessions() RETURNS TABLE (session text, last_write pg_lsn, written_at timestamptz, passed_by_all boolean)
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_read_sessions';
COMMENT ON FUNCTION meridian.read_sessions() IS 'The rows of the view meridian.sessions.';
REVOKE ALL ON FUNCTION meridian.read_sessions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.read_sessions() TO meridian_admin, pg_monitor;

CREATE VIEW meridian.sessions AS
  SELECT session, last_write, written_at, passed_by_all FROM meridian.read_sessions();
COMMENT ON VIEW meridian.sessions IS 'Sessions that this server knows of. On a standby: those of which the primary has told a write that is not here yet.';
COMMENT ON COLUMN meridian.sessions.session IS 'Its name, as meridian.session was set to.';
COMMENT ON COLUMN meridian.sessions.last_write IS 'Where it wrote last, at the latest.';
COMMENT ON COLUMN meridian.sessions.written_at IS 'When.';
COMMENT ON COLUMN meridian.sessions.passed_by_all IS 'Whether every connected standby has replayed it, and every physical slot received it; NULL on a standby.';
GRANT SELECT ON meridian.sessions TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.read_session_status(OUT places bigint, OUT sessions bigint, OUT gave_way bigint, OUT expired bigint,
                                             OUT worker_pid integer, OUT requests bigint, OUT queries bigint, OUT failures bigint,
                                             OUT failing_since timestamptz, OUT last_failure text,
                                             OUT replay_lag_p99 interval, OUT lag_samples bigint)
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_read_session_status';
COMMENT ON FUNCTION meridian.read_session_status() IS 'The row of the view meridian.session_status.';
REVOKE ALL ON FUNCTION meridian.read_session_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.read_session_status() TO meridian_admin, pg_monitor;

CREATE VIEW meridian.session_status AS
  SELECT places, sessions, gave_way, expired, worker_pid, requests, queries, failures, failing_since, last_failure, replay_lag_p99, lag_samples
    FROM meridian.read_session_status();
COMMENT ON VIEW meridian.session_status IS 'How this server tracks sessions, since it started; NULLs if meridian was not loaded at server start.';
COMMENT ON COLUMN meridian.session_status.places IS 'For how many sessions there is room: at least meridian.max_sessions.';
COMMENT ON COLUMN meridian.session_status.sessions IS 'How many it knows.';
COMMENT ON COLUMN meridian.session_status.gave_way IS 'Sessions that were forgotten because their part of the room was full. If it grows, raise meridian.max_sessions.';
COMMENT ON COLUMN meridian.session_status.expired IS 'Sessions that were forgotten because of their age, or because every replica had what they wrote.';
COMMENT ON COLUMN meridian.session_status.worker_pid IS 'The worker that asks the primary and measures lags; NULL if it does not run.';
COMMENT ON COLUMN meridian.session_status.requests IS 'Questions that this standby''s sessions had for the primary.';
COMMENT ON COLUMN meridian.session_status.queries IS 'Queries by which they were asked: fewer, because questions that come at the same time are asked together.';
COMMENT ON COLUMN meridian.session_status.failures IS 'Of these, queries that failed.';
COMMENT ON COLUMN meridian.session_status.failing_since IS 'Since when the primary cannot be asked; NULL if it can.';
COMMENT ON COLUMN meridian.session_status.last_failure IS 'Why the last one failed.';
COMMENT ON COLUMN meridian.session_status.replay_lag_p99 IS 'The replay lag of this server''s standbys that 99 % of the last hour''s samples did not exceed.';
COMMENT ON COLUMN meridian.session_status.lag_samples IS 'How many samples that were, one per standby and second while something is written.';
GRANT SELECT ON meridian.session_status TO meridian_admin, pg_monitor;

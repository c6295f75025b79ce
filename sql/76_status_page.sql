-- One page for a browser: the topology drawn, lags plotted, alarms, links and slots. Nothing on it comes from elsewhere: its
-- policy forbids scripts and every request. All text is escaped where it is put in.

CREATE FUNCTION meridian.html(content text) RETURNS text
  LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT COALESCE(replace(replace(replace(replace(replace($1, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;'), '')
$$;
COMMENT ON FUNCTION meridian.html(text) IS 'Text as it stands in HTML, also inside an attribute; empty for NULL.';

CREATE FUNCTION meridian.pretty_lag(lag interval) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN s < 0.001 THEN round(s * 1000000) || ' us' WHEN s < 1 THEN round(s * 1000, 1) || ' ms' WHEN s < 60 THEN round(s, 1) || ' s'
              WHEN s < 7200 THEN round(s / 60) || ' min' ELSE round(s / 3600) || ' h' END
    FROM (SELECT extract(epoch FROM $1)) AS e(s)
$$;
COMMENT ON FUNCTION meridian.pretty_lag(interval) IS 'An interval in one unit, for people.';

CREATE FUNCTION meridian.html_table(headings text[], rows text[]) RETURNS text
  LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT '<table><thead><tr>' || (SELECT string_agg('<th>' || meridian.html(h) || '</th>', '' ORDER BY place) FROM unnest($1) WITH ORDINALITY AS u(h, place))
      || E'</tr></thead><tbody>\n' || COALESCE(array_to_string($2, E'\n'), '') || '</tbody></table>'
$$;
COMMENT ON FUNCTION meridian.html_table(text[], text[]) IS 'A table of rows that are HTML already.';

CREATE FUNCTION meridian.html_row(class text, VARIADIC cells text[]) RETURNS text
  LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT '<tr class="' || meridian.html($1) || '">' || (SELECT string_agg('<td>' || meridian.html(c) || '</td>', '' ORDER BY place) FROM unnest($2) WITH ORDINALITY AS u(c, place)) || '</tr>'
$$;
COMMENT ON FUNCTION meridian.html_row(text, text[]) IS 'A row of a table, its cells escaped.';

-- The tree from left to right, one server below the other; links between members bow out to the left.
CREATE FUNCTION meridian.topology_svg(reports jsonb, servers jsonb) RETURNS text
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (
  WITH node AS MATERIALIZED (
    SELECT t.*, 90 + t.depth * 280 AS x, row_number() OVER (ORDER BY t.path) * 66 - 56 AS y FROM meridian.assemble_topology(reports, servers) t
  ), logical AS (
    SELECT l.upstream, l.downstream, min(l.state) AS state FROM meridian.assemble_links(reports, servers) l WHERE l.kind = 'logical' GROUP BY 1, 2
  ), shape(place, svg) AS (
    SELECT 1, format('<path class="tree" d="M%s %s V%s H%s"/>', u.x + 20, u.y + 50, n.y + 25, n.x)
      FROM node n JOIN node u ON u.node = n.upstream AND n.depth = u.depth + 1
    UNION ALL
    -- The two directions bow out differently, so that both can be seen.
    SELECT 2, format('<path class="mesh %s" marker-end="url(#end)" d="M%s %s C%s %s %s %s %s %s"><title>%s</title></path>',
                     CASE l.state WHEN 'streaming' THEN 'up' WHEN 'unknown' THEN 'unknown' ELSE 'bad' END,
                     u.x, u.y + 25, u.x - b.bow, u.y + 25, d.x - b.bow, d.y + 25, d.x, d.y + 25,
                     meridian.html(format('%s to %s: %s', l.upstream, l.downstream, l.state)))
      FROM logical l JOIN node u ON u.node = l.upstream JOIN node d ON d.node = l.downstream
      CROSS JOIN LATERAL (SELECT CASE WHEN l.upstream < l.downstream THEN 50 ELSE 90 END) AS b(bow)
    UNION ALL
    SELECT 3, format('<g class="node %s" transform="translate(%s %s)"><rect width="240" height="50" rx="6"/><text x="10" y="20" class="name">%s</text><text x="10" y="39">%s</text><title>%s</title></g>',
                     CASE WHEN n.state IN ('up', 'promoted') THEN 'up' WHEN n.state IN ('down', 'diverged') THEN 'bad' ELSE 'unknown' END, n.x, n.y,
                     meridian.html(left(n.node, 26)),
                     meridian.html(concat_ws(', ', n.role, n.state, NULLIF(n.link, 'streaming'), CASE WHEN n.lag_bytes > 0 THEN pg_size_pretty(n.lag_bytes) || ' behind' END)),
                     meridian.html(n.drawing))
      FROM node n
  )
  SELECT format('<svg role="img" aria-label="topology" viewBox="0 0 %s %s" width="%s" height="%s"><defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" '
                'markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path d="M0 0 L8 4 L0 8 z"/></marker></defs>', e.width, e.height, e.width, e.height)
      || (SELECT string_agg(s.svg, E'\n' ORDER BY s.place) FROM shape s) || '</svg>'
    FROM (SELECT max(x) + 260 AS width, max(y) + 60 AS height FROM node) e);
END
$$;
COMMENT ON FUNCTION meridian.topology_svg(jsonb, jsonb) IS 'The topology as a drawing.';
REVOKE ALL ON FUNCTION meridian.topology_svg(jsonb, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.topology_svg(jsonb, jsonb) TO meridian_admin, pg_monitor;

-- Windows without a sample leave a gap.
CREATE FUNCTION meridian.lag_svg(label text, microseconds jsonb) RETURNS text
  LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
  WITH point AS (
    SELECT (e.place - 1) * 36 + 10 AS x, (e.value #>> '{}')::float8 AS us FROM jsonb_array_elements($2) WITH ORDINALITY AS e(value, place)
  ), top AS (SELECT GREATEST(max(us), 1) AS us FROM point),
  placed AS (SELECT p.x, p.us, round((70 - 54 * p.us / top.us)::numeric, 1) AS y FROM point p, top WHERE p.us IS NOT NULL)
  SELECT format('<svg class="plot" role="img" aria-label="%s" viewBox="0 0 350 90" width="350" height="90"><path class="axis" d="M5 72 H345"/><text x="5" y="86">15 min ago</text>'
                '<text x="345" y="86" text-anchor="end">now</text><text x="5" y="8">P95, at most %s</text>', meridian.html($1),
                COALESCE((SELECT meridian.pretty_lag(max(p.us) * interval '1 us') FROM placed p), 'unknown'))
      || COALESCE((SELECT format('<polyline points="%s"/>', string_agg(p.x || ',' || p.y, ' ' ORDER BY p.x)) FROM placed p), '')
      || COALESCE((SELECT string_agg(format('<circle cx="%s" cy="%s" r="2.5"><title>%s</title></circle>', p.x, p.y, meridian.pretty_lag(p.us * interval '1 us')), '' ORDER BY p.x) FROM placed p), '')
      || '</svg>'
$$;
COMMENT ON FUNCTION meridian.lag_svg(text, jsonb) IS 'A plot of lags, the oldest first.';

CREATE FUNCTION meridian.status_page() RETURNS text
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  reports jsonb := meridian.known_reports();
  servers jsonb := meridian.known_servers();
  name text := meridian.html(meridian.own_server());
  alarms text; alarm_count bigint; links text; lags text; plots text; slots text;
BEGIN
  SELECT count(*), meridian.html_table(ARRAY['server', 'alarm', 'subject', 'since', 'what is the matter', 'what helps'],
           array_agg(meridian.html_row(a.severity, a.server, a.alarm, a.subject, to_char(a.since, 'YYYY-MM-DD HH24:MI:SS'), a.detail, a.remedy) ORDER BY a.severity, a.since))
    INTO alarm_count, alarms FROM meridian.alarms a;
  SELECT meridian.html_table(ARRAY['from', 'to', 'kind', 'state', 'synchronous', 'not sent', 'not applied', 'lag', 'slot', 'held for it', 'error', 'sample age'],
           array_agg(meridian.html_row(CASE WHEN l.state IN ('streaming', 'unknown') THEN 'fine' ELSE 'error' END, l.upstream, l.downstream,
                                       l.kind || COALESCE(' ' || l.stream, ''), l.state || CASE WHEN l.paused THEN ', paused' ELSE '' END, l.sync_state, pg_size_pretty(l.sent_bytes),
                                       pg_size_pretty(l.replay_bytes), meridian.pretty_lag(l.replay_lag), l.slot, pg_size_pretty(l.retained_bytes), l.error,
                                       meridian.pretty_lag(l.sample_age))))
    INTO links FROM meridian.assemble_links(reports, servers) l;
  SELECT meridian.html_table(ARRAY['from', 'to', 'kind', 'oldest waits', 'span', 'samples', 'P50', 'P95', 'P99', 'longest'],
           array_agg(meridian.html_row(CASE WHEN g.connected THEN 'fine' ELSE 'error' END, g.origin, g.peer, g.kind, meridian.pretty_lag(g.waiting), meridian.pretty_lag(g.span), g.samples::text,
                                       meridian.pretty_lag(g.p50), meridian.pretty_lag(g.p95), meridian.pretty_lag(g.p99), meridian.pretty_lag(g.max))))
    INTO lags FROM meridian.assemble_lags(reports) g;
  SELECT string_agg(format(E'<figure><figcaption>%s</figcaption>%s</figure>', meridian.html(p.label), meridian.lag_svg(p.label, p.recent)), E'\n' ORDER BY p.label)
    INTO plots
    FROM (SELECT format('%s to %s', e ->> 'server', COALESCE(l.peer, l.name)) AS label, l.recent_p95_us AS recent
            FROM jsonb_array_elements(reports) e
            CROSS JOIN LATERAL jsonb_to_recordset(e -> 'report' -> 'lags') AS l(name text, peer text, recent_p95_us jsonb)) p;
  SELECT meridian.html_table(ARRAY['server', 'slot', 'kind', 'used by', 'in use', 'inactive since', 'holds', 'may hold', 'risk'],
           array_agg(meridian.html_row(CASE WHEN s.risk IN ('none', 'inactive') THEN 'fine' WHEN s.risk = 'growing' THEN 'warning' ELSE 'error' END, s.server, s.slot, s.kind, s.used_by,
                                       CASE WHEN s.active THEN 'yes' ELSE 'no' END, to_char(s.inactive_since, 'YYYY-MM-DD HH24:MI:SS'), pg_size_pretty(s.retained_bytes),
                                       pg_size_pretty(s.safe_wal_size), s.risk) ORDER BY s.server, s.slot))
    INTO slots FROM meridian.assemble_slots(reports) s;
  RETURN '<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Meridian: ' || name || '</title>
<meta http-equiv="Content-Security-Policy" content="default-src ''none''; style-src ''unsafe-inline''">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 24px; color: #1b1f24; background: #fff; }
h1 { font-size: 20px; } h2 { font-size: 16px; margin-top: 28px; }
table { border-collapse: collapse; } th, td { text-align: left; padding: 3px 10px 3px 0; border-bottom: 1px solid #d8dee4; vertical-align: top; }
tr.error td { background: #ffebe9; } tr.warning td { background: #fff8c5; }
.node rect { fill: #dafbe1; stroke: #2da44e; } .node.bad rect { fill: #ffebe9; stroke: #cf222e; } .node.unknown rect { fill: #f6f8fa; stroke: #8c959f; }
.node text { font-size: 12px; } .node .name { font-weight: bold; }
marker path { fill: #57606a; } .tree { fill: none; stroke: #57606a; } .mesh { fill: none; stroke: #0969da; stroke-width: 1.5; } .mesh.bad { stroke: #cf222e; stroke-dasharray: 4; } .mesh.unknown { stroke: #8c959f; }
figure { display: inline-block; margin: 0 24px 12px 0; } .plot text { font-size: 10px; fill: #57606a; } .plot .axis { stroke: #8c959f; }
.plot polyline { fill: none; stroke: #0969da; stroke-width: 1.5; } .plot circle { fill: #0969da; } .calm { color: #1a7f37; }
</style></head><body>
<h1>Meridian, as ' || name || ' sees it</h1>
<p>' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC, ' || jsonb_array_length(reports) || ' servers report.</p>
<section id="alarms"><h2>Alarms</h2>' || CASE WHEN alarm_count = 0 THEN '<p class="calm">None.</p>' ELSE alarms END || '</section>
<section id="topology"><h2>Topology</h2>' || COALESCE(meridian.topology_svg(reports, servers), '') || '</section>
<section id="lag"><h2>Lag</h2>' || COALESCE(plots, '') || lags || '</section>
<section id="links"><h2>Links</h2>' || links || '</section>
<section id="slots"><h2>Replication slots</h2>' || slots || '</section>
</body></html>
';
END
$$;
COMMENT ON FUNCTION meridian.status_page() IS 'The state of the whole topology as one HTML page that needs nothing else: psql -AtXc "SELECT meridian.status_page()" > status.html.';
REVOKE ALL ON FUNCTION meridian.status_page() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.status_page() TO meridian_admin, pg_monitor;

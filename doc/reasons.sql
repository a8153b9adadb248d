-- doc/reasons.md, from the catalog: see doc/generate
SELECT $$# Why a day is not sent

Made by `doc/generate` from the table `kinderconnect.reason`; do not edit. The codes stand in `child_day.reason`. Reasons of days that
wait for somebody have something to do; `held_summary` counts them.

| reason | meaning | what to do |
|---|---|---|$$;
SELECT format('| `%s` | %s | %s |', r.reason, replace(r.meaning, '|', '\|'), replace(r.what_to_do, '|', '\|'))
FROM kinderconnect.reason r
ORDER BY r.reason COLLATE "C";

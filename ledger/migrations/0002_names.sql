CREATE INDEX calls_by_ref ON calls (provider, ref);
CREATE INDEX calls_not_over ON calls (dial, account) WHERE status <> 'ended';
CREATE TABLE names (
  principal TEXT NOT NULL,
  name      TEXT NOT NULL,
  call_id   TEXT NOT NULL,
  PRIMARY KEY (principal, name, call_id)
);
INSERT INTO names (principal, name, call_id)
  SELECT principal, substr(key, 9), call_id FROM intents WHERE key LIKE 'derived:%';
DELETE FROM intents WHERE key LIKE 'derived:%';

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
CREATE TABLE processes (
  id         TEXT PRIMARY KEY,
  expires_at BIGINT NOT NULL
);
CREATE TABLE calls (
  id            TEXT PRIMARY KEY,
  principal     TEXT NOT NULL,
  provider      TEXT NOT NULL,
  account       TEXT NOT NULL,
  simulated     BIGINT NOT NULL,
  number        TEXT NOT NULL,
  spec          TEXT NOT NULL,
  dial          TEXT NOT NULL,
  ref           TEXT NOT NULL,
  hangup_wanted BIGINT NOT NULL,
  created_at    BIGINT NOT NULL,
  status        TEXT NOT NULL,
  seq           BIGINT NOT NULL,
  ended_at      BIGINT NOT NULL,
  head          TEXT NOT NULL,
  owner         TEXT NOT NULL,
  epoch         BIGINT NOT NULL
);
CREATE INDEX calls_by_principal ON calls (principal, created_at, id);
CREATE INDEX calls_by_status ON calls (status, owner);
CREATE INDEX calls_by_number ON calls (number, created_at);
CREATE TABLE events (
  call_id TEXT NOT NULL,
  seq     BIGINT NOT NULL,
  at      BIGINT NOT NULL,
  kind    TEXT NOT NULL,
  body    TEXT NOT NULL,
  PRIMARY KEY (call_id, seq)
);
CREATE TABLE intents (
  principal TEXT NOT NULL,
  key       TEXT NOT NULL,
  call_id   TEXT NOT NULL,
  params    TEXT NOT NULL,
  PRIMARY KEY (principal, key)
);
CREATE INDEX intents_by_call ON intents (call_id);

ALTER TABLE calls ADD COLUMN currency TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN per_minute BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN worst BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN charge BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN faulty BIGINT NOT NULL DEFAULT 0;
CREATE INDEX calls_by_charge ON calls (simulated, currency, created_at, charge);
CREATE INDEX calls_by_fault ON calls (provider, faulty, created_at);
CREATE INDEX calls_to_number ON calls (principal, number, created_at);
CREATE TABLE contacts (
  number   TEXT PRIMARY KEY,
  name     TEXT NOT NULL,
  zone     TEXT NOT NULL,
  hours    TEXT NOT NULL,
  consent  TEXT NOT NULL,
  added_at BIGINT NOT NULL
);
CREATE TABLE do_not_call (
  number    TEXT NOT NULL,
  simulated BIGINT NOT NULL,
  until     BIGINT NOT NULL,
  call_id   TEXT NOT NULL,
  note      TEXT NOT NULL,
  added_at  BIGINT NOT NULL,
  PRIMARY KEY (number, simulated, call_id)
);
CREATE TABLE heard (
  call_id   TEXT NOT NULL,
  digits    TEXT NOT NULL,
  simulated BIGINT NOT NULL,
  at        BIGINT NOT NULL,
  PRIMARY KEY (call_id, digits)
);
CREATE INDEX heard_at ON heard (at);
CREATE TABLE refusals (
  principal TEXT NOT NULL,
  simulated BIGINT NOT NULL,
  at        BIGINT NOT NULL
);
CREATE INDEX refusals_by_principal ON refusals (principal, at);
CREATE TABLE questions (
  id        TEXT PRIMARY KEY,
  principal TEXT NOT NULL,
  number    TEXT NOT NULL,
  whom      TEXT NOT NULL,
  spec      TEXT NOT NULL,
  provider  TEXT NOT NULL,
  longest   BIGINT NOT NULL,
  currency  TEXT NOT NULL,
  worst     BIGINT NOT NULL,
  heard     BIGINT NOT NULL,
  simulated BIGINT NOT NULL,
  asked_at  BIGINT NOT NULL,
  state     TEXT NOT NULL,
  until     BIGINT NOT NULL,
  call_id   TEXT NOT NULL
);
CREATE INDEX questions_by_number ON questions (principal, number, state);

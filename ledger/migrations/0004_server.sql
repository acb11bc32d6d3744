CREATE TABLE inbox (
  digest   TEXT PRIMARY KEY,
  provider TEXT NOT NULL,
  ref      TEXT NOT NULL,
  at       BIGINT NOT NULL,
  body     TEXT NOT NULL,
  unread   BIGINT NOT NULL
);
CREATE INDEX inbox_unread ON inbox (provider, ref) WHERE unread = 1;
CREATE INDEX inbox_at ON inbox (at);

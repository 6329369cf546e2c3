-- Times on the wire are microseconds since 1970; in tables they are timestamptz.
CREATE FUNCTION hz_time(micros bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN timestamptz '1970-01-01 00:00:00+00' + micros * interval '1 microsecond';

CREATE FUNCTION hz_micros(at timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (extract(epoch FROM at) * 1000000)::bigint;

-- One row: the term of the leading operator. A writer of an older term is refused.
CREATE TABLE leadership (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch    bigint NOT NULL,
    holder   text NOT NULL,
    since    timestamptz NOT NULL DEFAULT now()
);
INSERT INTO leadership (epoch, holder) VALUES (0, '');

-- What each device said of itself last, whole.
CREATE TABLE devices (
    device       text PRIMARY KEY,
    site         text NOT NULL,
    class        text NOT NULL,
    labels       jsonb NOT NULL,
    boot_id      uuid NOT NULL,
    runtime_hash text NOT NULL,
    reported     jsonb NOT NULL,
    reported_at  timestamptz NOT NULL DEFAULT now(),
    first_seen   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX devices_class ON devices (class);
CREATE INDEX devices_labels ON devices USING gin (labels);

-- Kept apart: presence may come before the first report, and without one.
CREATE TABLE presence (
    device     text PRIMARY KEY,
    site       text NOT NULL,
    online     boolean NOT NULL,
    boot_id    uuid NOT NULL,
    connection bigint NOT NULL,
    since      timestamptz NOT NULL DEFAULT now(),
    -- Any message counts as a sign of life.
    last_seen  timestamptz NOT NULL DEFAULT now()
);

-- Results of graphs, by day of the device's own clock, so that one sample always meets itself again.
CREATE TABLE telemetry (
    device   text NOT NULL,
    boot_id  uuid NOT NULL,
    seq      bigint NOT NULL,
    t        timestamptz NOT NULL,
    site     text NOT NULL,
    stream   text NOT NULL,
    value    jsonb NOT NULL,
    received timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device, boot_id, seq, t)
) PARTITION BY RANGE (t);
-- For clocks that are far off; days around today get a partition of their own.
CREATE TABLE telemetry_default PARTITION OF telemetry DEFAULT;

-- What is stored of each boot, changed in the transaction that stores it: duplicates never count as stored.
CREATE TABLE telemetry_boots (
    device     text NOT NULL,
    boot_id    uuid NOT NULL,
    stored     bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    max_seq    bigint NOT NULL DEFAULT 0,
    -- All samples up to this one are stored: what the device may forget.
    contiguous bigint NOT NULL DEFAULT 0,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device, boot_id)
);

-- Files that may run on devices; the bytes are in the blob store.
CREATE TABLE models (
    sha256           text PRIMARY KEY,
    size             bigint NOT NULL,
    -- `namespace/name` of the NasJob that made it; null for an artifact from elsewhere.
    nas_job          text,
    architecture     jsonb,
    accuracy         double precision,
    metrics          jsonb,
    created_at       timestamptz NOT NULL DEFAULT now()
);

-- A model measured on a class of devices.
CREATE TABLE model_latencies (
    sha256           text NOT NULL REFERENCES models ON DELETE CASCADE,
    class            text NOT NULL,
    runtime_hash     text NOT NULL,
    predicted_p95_us double precision,
    measured_p95_us  double precision NOT NULL,
    measured_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sha256, class, runtime_hash)
);

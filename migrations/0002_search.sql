-- Measured latencies, the requests that bring them, and the state of every search.

-- One file measured on one class with one runtime. `key` says what the file is: a block's key, `net-…` for a
-- whole architecture without weights, `model-…` for a trained file.
CREATE TABLE profiles (
    class        text             NOT NULL,
    runtime_hash text             NOT NULL,
    sha256       text             NOT NULL,
    key          text             NOT NULL,
    p50_us       double precision NOT NULL,
    p95_us       double precision NOT NULL,
    min_us       double precision NOT NULL,
    runs         integer          NOT NULL,
    disturbed    boolean          NOT NULL,
    measurements integer          NOT NULL DEFAULT 1,
    device       text             NOT NULL,
    measured_at  timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (class, runtime_hash, sha256)
);

-- What a device could not measure, or answered implausibly.
CREATE TABLE profile_failures (
    class        text        NOT NULL,
    runtime_hash text        NOT NULL,
    sha256       text        NOT NULL,
    device       text        NOT NULL,
    key          text        NOT NULL,
    kind         text        NOT NULL CHECK (kind IN ('failed', 'implausible')),
    reason       text        NOT NULL,
    count        integer     NOT NULL DEFAULT 1,
    last_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (class, runtime_hash, sha256, device, kind)
);

CREATE TABLE profile_requests (
    id           text        PRIMARY KEY,
    job          uuid        NOT NULL,
    class        text        NOT NULL,
    runtime_hash text        NOT NULL,
    device       text        NOT NULL,
    boot_id      uuid,
    sha256s      text[]      NOT NULL,
    keys         text[]      NOT NULL,
    state        text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'answered', 'expired')),
    sent_at      timestamptz NOT NULL DEFAULT now(),
    deadline     timestamptz NOT NULL
);
-- Two requests at once would disturb each other's measurements.
CREATE UNIQUE INDEX profile_requests_open ON profile_requests (device) WHERE state = 'open';
CREATE INDEX profile_requests_recent ON profile_requests (sent_at);

-- One search: all of it that can't be derived from the resource.
CREATE TABLE studies (
    job         uuid        PRIMARY KEY,
    namespace   text        NOT NULL,
    name        text        NOT NULL,
    generation  bigint      NOT NULL,
    -- What the result depends on, and the part of it that the choice of candidates depends on.
    spec_key    text        NOT NULL,
    search_key  text        NOT NULL,
    -- SHA-256 of the token its trainer pods carry; none when no pod should run.
    token_hash  text        UNIQUE,
    shortlist   jsonb,
    attempt     integer     NOT NULL DEFAULT 0,
    -- When its pods were last asked for: from then on no device measures until a trial's lease says more.
    pods_at     timestamptz,
    outcome     jsonb,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

-- One architecture to train. `key` names everything the trained model depends on.
CREATE TABLE trials (
    id               text             PRIMARY KEY,
    job              uuid             NOT NULL REFERENCES studies (job) ON DELETE CASCADE,
    key              text             NOT NULL,
    number           integer          NOT NULL,
    document         jsonb            NOT NULL,
    state            text             NOT NULL DEFAULT 'pending'
                     CHECK (state IN ('pending', 'running', 'trained', 'failed', 'cancelled')),
    worker           text,
    lease_expires_at timestamptz,
    claims           integer          NOT NULL DEFAULT 0,
    failures         integer          NOT NULL DEFAULT 0,
    epoch            integer          NOT NULL DEFAULT 0,
    epochs           integer          NOT NULL,
    fraction         double precision NOT NULL DEFAULT 0,
    loss             double precision,
    seconds_left     double precision,
    model            text,
    model_size       bigint,
    metrics          jsonb,
    failure_code     text,
    failure_message  text,
    announced        boolean          NOT NULL DEFAULT false,
    created_at       timestamptz      NOT NULL DEFAULT now(),
    finished_at      timestamptz,
    UNIQUE (job, key)
);
CREATE INDEX trials_running ON trials (lease_expires_at) WHERE state = 'running';

-- The newest two of each trial: should the newest be damaged, the one before it still serves.
CREATE TABLE checkpoints (
    id         bigserial   PRIMARY KEY,
    trial      text        NOT NULL REFERENCES trials (id) ON DELETE CASCADE,
    sha256     text        NOT NULL,
    size       bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX checkpoints_trial ON checkpoints (trial, id);

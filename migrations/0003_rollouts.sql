-- Resolved content of a pipeline; never changed once written.
CREATE TABLE revisions (
    pipeline   text        NOT NULL,
    revision   text        NOT NULL,
    content    jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, revision)
);

-- Moving devices to a revision. `owner` is the uid of the EdgePipeline, `number` counts within it.
CREATE TABLE rollouts (
    uid             text        PRIMARY KEY,
    pipeline        text        NOT NULL,
    owner           uuid        NOT NULL,
    number          integer     NOT NULL,
    revision        text        NOT NULL,
    from_revision   text,
    -- Hash of the spec it was begun for: a failed one is begun anew only for another spec.
    spec_key        text        NOT NULL,
    -- The newest of its pipeline; older ones only take late steps of devices.
    current         boolean     NOT NULL DEFAULT true,
    state           text        NOT NULL,
    failure_reason  text,
    failure_message text,
    progress_at     timestamptz NOT NULL,
    paused_at       timestamptz,
    started_at      timestamptz NOT NULL,
    UNIQUE (owner, number)
);
CREATE UNIQUE INDEX rollouts_current ON rollouts (pipeline) WHERE current;

CREATE TABLE rollout_waves (
    rollout    text    NOT NULL REFERENCES rollouts ON DELETE CASCADE,
    wave       integer NOT NULL,
    state      text    NOT NULL,
    started_at timestamptz,
    ended_at   timestamptz,
    PRIMARY KEY (rollout, wave)
);

CREATE TABLE rollout_devices (
    rollout     text    NOT NULL REFERENCES rollouts ON DELETE CASCADE,
    device      text    NOT NULL,
    wave        integer NOT NULL,
    state       text    NOT NULL,
    attempt     integer NOT NULL,
    offered_at  timestamptz,
    finished_at timestamptz,
    code        text,
    message     text,
    -- What the device ran before the rollout first reached it; null: nothing.
    previous    jsonb,
    PRIMARY KEY (rollout, device)
);

-- The document last written for each device, without its order; null: run nothing.
CREATE TABLE desired (
    device     text        PRIMARY KEY,
    site       text        NOT NULL,
    epoch      bigint      NOT NULL,
    -- Rises with every document, for ever.
    generation bigint      NOT NULL,
    pipeline   text        NOT NULL,
    rollout    text        NOT NULL,
    attempt    integer     NOT NULL,
    document   jsonb,
    -- The device has said how it went, or nothing is to be said.
    settled    boolean     NOT NULL DEFAULT false,
    written_at timestamptz NOT NULL DEFAULT now(),
    -- The last document it was healthy with: what it goes back to.
    good       jsonb
);
CREATE INDEX desired_pipeline ON desired (pipeline);
CREATE INDEX desired_open ON desired (site) WHERE NOT settled;

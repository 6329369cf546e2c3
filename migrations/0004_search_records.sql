-- The conversation with a strategy that learns: what it goes by, every candidate it proposed, and what it was told.

-- Class, runtime and latency model of each target, as they were when the search began: later measurements must not
-- change what was decided with them.
ALTER TABLE studies ADD COLUMN basis jsonb;

-- One candidate of one target. All state of the strategy is the list of these rows, in order of their numbers; a row
-- without `told_at` waits for its measurement or its training.
CREATE TABLE search_records (
    job             uuid        NOT NULL REFERENCES studies (job) ON DELETE CASCADE,
    target          text        NOT NULL,
    number          integer     NOT NULL,
    generation      integer     NOT NULL,
    fidelity        smallint    NOT NULL DEFAULT 0,
    -- The option of each slot of the space.
    choices         smallint[]  NOT NULL,
    measured_p95_us double precision,
    accuracy        double precision,
    failure         text,
    told_at         timestamptz,
    PRIMARY KEY (job, target, number),
    CHECK (told_at IS NULL OR accuracy IS NOT NULL OR failure IS NOT NULL)
);

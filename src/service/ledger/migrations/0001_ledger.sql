CREATE TABLE auralink_usage (
    session uuid NOT NULL,
    part integer NOT NULL,
    caller text NOT NULL,
    codec text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    day integer NOT NULL,
    from_ms bigint NOT NULL,
    until_ms bigint NOT NULL,
    frames bigint NOT NULL,
    packets bigint NOT NULL,
    dropped bigint NOT NULL,
    failed bigint NOT NULL,
    bytes_in bigint NOT NULL,
    bytes_out bigint NOT NULL,
    measured bigint NOT NULL,
    ssim_sum double precision NOT NULL,
    psnr_db_sum double precision NOT NULL,
    PRIMARY KEY (session, part)
);
CREATE INDEX auralink_usage_day ON auralink_usage (day, caller);
CREATE INDEX auralink_usage_caller ON auralink_usage (caller, day);
CREATE TABLE auralink_settings (
    caller text PRIMARY KEY,
    settings text NOT NULL
);

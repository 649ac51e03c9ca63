-- +goose Up
-- How audit_batches.data is coded: 0 as it is, 1 as an S2 block.
ALTER TABLE audit_batches ADD COLUMN coding BIGINT NOT NULL DEFAULT 0;

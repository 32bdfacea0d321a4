-- Every statement of the store, made by: python -m tests.docs.sql_pages

-- ==== src/clew/store/agents.py ====

-- INSERT_AGENT
INSERT INTO agents (id, project, created_at, model, name, description, instructions, tools, tool_resources, metadata, temperature, top_p, response_format, reasoning_effort) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BIGINT, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::VARCHAR, $9::VARCHAR, $10::VARCHAR, $11::FLOAT, $12::FLOAT, $13::VARCHAR, $14::VARCHAR);

-- HOLD_AGENT
SELECT agents.seq
FROM agents
WHERE agents.id = $1::VARCHAR AND agents.project = $2::VARCHAR FOR NO KEY UPDATE;

-- SELECT_AGENT
SELECT agents.temperature, agents.top_p, agents.response_format, agents.reasoning_effort, agents.id, agents.project, agents.created_at, agents.model, agents.name, agents.description, agents.instructions, agents.tools, agents.tool_resources, agents.metadata
FROM agents
WHERE agents.id = $1::VARCHAR AND agents.project = $2::VARCHAR;

-- UPDATE_AGENT
UPDATE agents SET model=$1::VARCHAR, name=$2::VARCHAR, description=$3::VARCHAR, instructions=$4::VARCHAR, tools=$5::VARCHAR, tool_resources=$6::VARCHAR, metadata=$7::VARCHAR, temperature=$8::FLOAT, top_p=$9::FLOAT, response_format=$10::VARCHAR, reasoning_effort=$11::VARCHAR WHERE agents.id = $12::VARCHAR AND agents.project = $13::VARCHAR;

-- DELETE_AGENT
DELETE FROM agents WHERE agents.id = $1::VARCHAR AND agents.project = $2::VARCHAR;

-- ==== src/clew/store/blob_parts.py ====

-- INSERT_PART
INSERT INTO blob_parts (blob, part, at, data) VALUES ($1::VARCHAR, $2::INTEGER, $3::BIGINT, $4::BYTEA);

-- SELECT_SEAL
SELECT blob_parts.part
FROM blob_parts
WHERE blob_parts.blob = $1::VARCHAR AND blob_parts.part = 0;

-- SELECT_PART
SELECT blob_parts.data
FROM blob_parts
WHERE blob_parts.blob = $1::VARCHAR AND blob_parts.part = $2::INTEGER;

-- DELETE_PARTS
DELETE FROM blob_parts WHERE blob_parts.blob = $1::VARCHAR;

-- SELECT_BLOBS
SELECT blob_parts.blob, max(blob_parts.at) AS max_1
FROM blob_parts
WHERE blob_parts.blob > $1::VARCHAR GROUP BY blob_parts.blob ORDER BY blob_parts.blob
 LIMIT 500 OFFSET 0;

-- ==== src/clew/store/budgets.py ====

-- SELECT_DAY
SELECT usage_by_day.tokens
FROM usage_by_day
WHERE usage_by_day.project = $1::VARCHAR AND usage_by_day.day = $2::INTEGER;

-- COUNT_DAY
UPDATE usage_by_day SET tokens=(usage_by_day.tokens + $1::BIGINT) WHERE usage_by_day.project = $2::VARCHAR AND usage_by_day.day = $3::INTEGER;

-- BEGIN_DAY
INSERT INTO usage_by_day (project, day, tokens) VALUES ($1::VARCHAR, $2::INTEGER, $3::BIGINT);

-- ==== src/clew/store/calls.py ====

-- INSERT_CALL
INSERT INTO calls (id, project, created_at, run_id, step_id, turn, index, name, arguments, kind, state, result, approval, repeatable, attempts, output, detail, model_id, extras, position, begun_at, ended_at, ms) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BIGINT, $4::VARCHAR, $5::VARCHAR, $6::INTEGER, $7::INTEGER, $8::VARCHAR, $9::VARCHAR, $10::VARCHAR, $11::VARCHAR, $12::VARCHAR, $13::BOOLEAN, $14::BOOLEAN, $15::INTEGER, $16::VARCHAR, $17::VARCHAR, $18::VARCHAR, $19::VARCHAR, $20::BIGINT, $21::BIGINT, $22::BIGINT, $23::BIGINT);

-- UPDATE_CALL
UPDATE calls SET state=$1::VARCHAR, result=$2::VARCHAR, approval=$3::BOOLEAN, repeatable=$4::BOOLEAN, attempts=$5::INTEGER, output=$6::VARCHAR, detail=$7::VARCHAR, model_id=$8::VARCHAR, extras=$9::VARCHAR, position=$10::BIGINT, begun_at=$11::BIGINT, ended_at=$12::BIGINT, ms=$13::BIGINT WHERE calls.id = $14::VARCHAR;

-- SELECT_OF_TURNS
SELECT calls.id, calls.project, calls.created_at, calls.run_id, calls.step_id, calls.turn, calls.index, calls.name, calls.arguments, calls.kind, calls.state, calls.result, calls.approval, calls.repeatable, calls.attempts, calls.output, calls.detail, calls.model_id, calls.extras, calls.position, calls.begun_at, calls.ended_at
FROM calls
WHERE calls.run_id = $1::VARCHAR AND calls.turn BETWEEN $2::INTEGER AND $3::INTEGER ORDER BY calls.turn, calls.index;

-- ==== src/clew/store/census.py ====

-- COUNT_LIVE
SELECT runs.status, count(*) AS count_1
FROM runs
WHERE held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action') GROUP BY runs.status;

-- COUNT_HELD
SELECT count(*) AS count_1
FROM runs
WHERE held IS NOT NULL;

-- COUNT_DELIVERIES
SELECT count(*) AS count_1, min(due_work.due) AS min_1
FROM due_work
WHERE due_work.kind = 'webhook';

-- COUNT_OF_OTHER_EMBEDDERS
SELECT count(*) AS count_1
FROM vector_stores
WHERE vector_stores.embedder < $1::VARCHAR OR vector_stores.embedder > $1::VARCHAR;

-- ==== src/clew/store/code.py ====

-- HOLD_SESSION
SELECT code_sessions.session, code_sessions.place
FROM code_sessions
WHERE code_sessions.thread_id = $1::VARCHAR FOR UPDATE;

-- SELECT_SESSION
SELECT code_sessions.session, code_sessions.place
FROM code_sessions
WHERE code_sessions.thread_id = $1::VARCHAR;

-- INSERT_SESSION
INSERT INTO code_sessions (thread_id, session, place) VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR);

-- UPDATE_SESSION
UPDATE code_sessions SET session=$1::VARCHAR, place=$2::VARCHAR WHERE code_sessions.thread_id = $3::VARCHAR;

-- INSERT_MADE
INSERT INTO code_files (thread_id, name, file_id) VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR);

-- SELECT_MADE
SELECT code_files.name, files.id, files.project, files.created_at, files.filename, files.purpose, files.bytes, files.sha256, files.blob
FROM code_files JOIN files ON files.id = code_files.file_id
WHERE code_files.thread_id = $1::VARCHAR AND files.project = $2::VARCHAR ORDER BY code_files.seq DESC
 LIMIT 1000 OFFSET 0;

-- ==== src/clew/store/due_work.py ====

-- INSERT_WORK
INSERT INTO due_work (kind, id, project, lane, created_at, due, attempts, epoch, last_error, progress, payload) VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::BIGINT, $6::BIGINT, $7::INTEGER, $8::INTEGER, $9::VARCHAR, $10::VARCHAR, $11::VARCHAR);

-- SELECT_NEXT_DUE
SELECT (SELECT min(due_work.due) AS min_1
FROM due_work
WHERE due_work.kind = $1::VARCHAR AND owner IS NULL) AS anon_1, (SELECT min(due_work.due) AS min_2
FROM due_work
WHERE due_work.kind = $1::VARCHAR AND owner IS NULL AND due_work.due > $2::BIGINT) AS anon_2;

-- SELECT_LANES
WITH RECURSIVE lanes(name) AS
(SELECT min(due_work.lane) AS name
FROM due_work
WHERE due_work.kind = $1::VARCHAR UNION ALL SELECT (SELECT min(due_work.lane) AS min_2
FROM due_work
WHERE due_work.kind = $1::VARCHAR AND due_work.lane > lanes.name) AS anon_3
FROM lanes
WHERE lanes.name IS NOT NULL)
 SELECT lanes.name, (SELECT due_work.project
FROM due_work
WHERE due_work.kind = $1::VARCHAR AND due_work.lane = lanes.name ORDER BY due_work.due
 LIMIT 1 OFFSET 0) AS anon_1, (SELECT min(due_work.due) AS min_1
FROM due_work
WHERE due_work.kind = $1::VARCHAR AND due_work.lane = lanes.name AND owner IS NULL) AS anon_2
FROM lanes
WHERE lanes.name IS NOT NULL;

-- SELECT_DUE
SELECT due_work.seq, due_work.kind, due_work.id, due_work.project, due_work.lane, due_work.created_at, due_work.due, due_work.attempts, due_work.epoch, due_work.last_error, due_work.progress, due_work.payload
FROM due_work
WHERE due_work.kind = $1::VARCHAR AND due_work.lane = $2::VARCHAR AND owner IS NULL AND due_work.due <= $3::BIGINT ORDER BY due_work.due, due_work.seq
 LIMIT $4 OFFSET 0;

-- SELECT_OWNED
SELECT due_work.seq, due_work.kind, due_work.id, due_work.project, due_work.lane, due_work.created_at, due_work.due, due_work.attempts, due_work.epoch, due_work.last_error, due_work.progress, due_work.payload, due_work.owner, workers.beats
FROM due_work LEFT OUTER JOIN workers ON workers.id = due_work.owner
WHERE due_work.kind = $1::VARCHAR AND owner IS NOT NULL;

-- CLAIM_WORK
UPDATE due_work SET attempts=$1::INTEGER, owner=$2::VARCHAR, epoch=(due_work.epoch + 1) WHERE due_work.seq = $3::BIGINT AND due_work.epoch = $4::INTEGER;

-- SAVE_PROGRESS
UPDATE due_work SET attempts=$1::INTEGER, progress=$2::VARCHAR WHERE due_work.seq = $3::BIGINT AND due_work.epoch = $4::INTEGER;

-- HOLD_WORK
SELECT due_work.seq
FROM due_work
WHERE due_work.seq = $1::BIGINT AND due_work.epoch = $2::INTEGER FOR UPDATE;

-- RELEASE_WORK
UPDATE due_work SET attempts=$1::INTEGER, owner=NULL, epoch=(due_work.epoch + 1) WHERE due_work.seq = $2::BIGINT AND due_work.epoch = $3::INTEGER AND due_work.owner = $4::VARCHAR;

-- POSTPONE_WORK
UPDATE due_work SET due=$1::BIGINT, attempts=$2::INTEGER, owner=NULL, epoch=(due_work.epoch + 1), last_error=$3::VARCHAR, progress=$4::VARCHAR WHERE due_work.seq = $5::BIGINT AND due_work.epoch = $6::INTEGER;

-- DELETE_WORK
DELETE FROM due_work WHERE due_work.seq = $1::BIGINT AND due_work.epoch = $2::INTEGER;

-- SELECT_BY_ID
SELECT due_work.seq
FROM due_work
WHERE due_work.kind = $1::VARCHAR AND due_work.id = $2::VARCHAR;

-- DELETE_BY_ID
DELETE FROM due_work WHERE due_work.kind = $1::VARCHAR AND due_work.id = $2::VARCHAR;

-- DELETE_LANE
DELETE FROM due_work WHERE due_work.kind = $1::VARCHAR AND due_work.lane = $2::VARCHAR;

-- ==== src/clew/store/explanations.py ====

-- SELECT_TAKEOVERS
SELECT takeovers.at, takeovers.turn, takeovers.from_worker
FROM takeovers
WHERE takeovers.run_id = $1::VARCHAR ORDER BY takeovers.seq
 LIMIT $2 OFFSET 0;

-- SELECT_ENDED_AT
SELECT runs.ended_at
FROM runs
WHERE runs.id = $1::VARCHAR;

-- SELECT_LIVE_RUN
SELECT runs.id, runs.status
FROM threads JOIN runs ON runs.id = threads.live_run
WHERE threads.id = $1::VARCHAR;

-- COUNT_BEFORE
SELECT count(*) AS count_1
FROM runs
WHERE runs.thread_id = $1::VARCHAR AND held IS NOT NULL AND runs.held < $2::INTEGER;

-- COUNT_HELD_MESSAGES
SELECT count(*) AS count_1
FROM messages
WHERE messages.thread_id = $1::VARCHAR AND messages.held IS NOT NULL;

-- ==== src/clew/store/files.py ====

-- INSERT_FILE
INSERT INTO files (id, project, created_at, filename, purpose, bytes, sha256, blob) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BIGINT, $4::VARCHAR, $5::VARCHAR, $6::BIGINT, $7::VARCHAR, $8::VARCHAR);

-- SELECT_FILE
SELECT files.id, files.project, files.created_at, files.filename, files.purpose, files.bytes, files.sha256, files.blob
FROM files
WHERE files.id = $1::VARCHAR AND files.project = $2::VARCHAR;

-- DELETE_FILE
DELETE FROM files WHERE files.id = $1::VARCHAR AND files.project = $2::VARCHAR;

-- SELECT_NAMES
SELECT id, filename FROM files WHERE project = $1 AND id = ANY (ARRAY(SELECT jsonb_array_elements_text($2::jsonb))) ORDER BY id FOR KEY SHARE;

-- SELECT_IDS
SELECT id FROM files WHERE project = $1 AND id = ANY (ARRAY(SELECT jsonb_array_elements_text($2::jsonb)));

-- SUM_BYTES
SELECT coalesce(sum(files.bytes), 0) AS coalesce_1
FROM files
WHERE files.project = $1::VARCHAR;

-- HOLD_PROJECT
SELECT projects.name
FROM projects
WHERE projects.name = $1::VARCHAR FOR UPDATE;

-- SELECT_BLOB
SELECT files.id
FROM files
WHERE files.blob = $1::VARCHAR;

-- ==== src/clew/store/full_text.py ====

-- INSERT_WORDS
INSERT INTO chunk_words (seq, words) SELECT seq, to_tsvector('english', text) || array_to_tsvector(ARRAY[lower(store)]) FROM chunks WHERE store_file = $1 AND number >= $2 AND number < $3;

-- DELETE_WORDS
DELETE FROM chunk_words WHERE seq IN (SELECT seq FROM chunks WHERE store_file = $1 AND number >= $2 AND number < $3);

-- SEARCH_WORDS
SELECT chunks.store_file, chunks.number FROM chunk_words JOIN chunks ON chunks.seq = chunk_words.seq JOIN store_files ON store_files.seq = chunks.store_file AND store_files.status = 'completed' WHERE words @@ (quote_literal(lower($2))::tsquery && to_tsquery('english', $1)) AND chunks.store = $2 ORDER BY ts_rank(words, to_tsquery('english', $1), 1) DESC, chunks.seq LIMIT $3;

-- ==== src/clew/store/health.py ====

-- PING
SELECT 1;

-- TOUCH
UPDATE alembic_version SET version_num = version_num;

-- ==== src/clew/store/idempotency.py ====

-- INSERT_ANSWER
INSERT INTO answers (project, key, fingerprint, created_at, body) VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR, $4::BIGINT, $5::VARCHAR);

-- SELECT_ANSWER
SELECT answers.project, answers.key, answers.fingerprint, answers.created_at, answers.body
FROM answers
WHERE answers.project = $1::VARCHAR AND answers.key = $2::VARCHAR;

-- DELETE_ANSWER
DELETE FROM answers WHERE answers.project = $1::VARCHAR AND answers.key = $2::VARCHAR;

-- DELETE_OLDER
DELETE FROM answers WHERE answers.created_at < $1::BIGINT;

-- ==== src/clew/store/installation.py ====

-- INSERT_FACT
INSERT INTO installation (name, value) VALUES ($1::VARCHAR, $2::VARCHAR);

-- SELECT_FACT
SELECT installation.value
FROM installation
WHERE installation.name = $1::VARCHAR;

-- UPDATE_FACT
UPDATE installation SET value=$1::VARCHAR WHERE installation.name = $2::VARCHAR;

-- ==== src/clew/store/keys.py ====

-- INSERT_KEY
INSERT INTO keys (digest, project, name, role, created_at, expires_at) VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::BIGINT, $6::BIGINT);

-- SELECT_KEYS
SELECT keys.digest, keys.project, keys.name, keys.role, keys.created_at, keys.expires_at
FROM keys ORDER BY keys.project, keys.name, keys.created_at;

-- COUNT_NAMED
SELECT count(*) AS count_1, max(keys.role) AS max_1
FROM keys
WHERE keys.project = $1::VARCHAR AND keys.name = $2::VARCHAR AND (keys.expires_at IS NULL OR keys.expires_at > $3::BIGINT);

-- DELETE_NAMED
DELETE FROM keys WHERE keys.project = $1::VARCHAR AND keys.name = $2::VARCHAR;

-- DELETE_EXPIRED
DELETE FROM keys WHERE keys.project = $1::VARCHAR AND keys.name = $2::VARCHAR AND keys.expires_at <= $3::BIGINT;

-- EXPIRE_NAMED
UPDATE keys SET expires_at=$1::BIGINT WHERE keys.project = $2::VARCHAR AND keys.name = $3::VARCHAR AND (keys.expires_at IS NULL OR keys.expires_at > $4::BIGINT);

-- ==== src/clew/store/line.py ====

-- LAST_PLACES[1]
SELECT max(messages.held) AS max_1
FROM messages
WHERE messages.thread_id = $1::VARCHAR AND held IS NOT NULL;

-- LAST_PLACES[2]
SELECT max(runs.held) AS max_1
FROM runs
WHERE runs.thread_id = $1::VARCHAR AND held IS NOT NULL;

-- SELECT_NEXT_RUN
SELECT runs.id, runs.held
FROM runs
WHERE runs.thread_id = $1::VARCHAR AND held IS NOT NULL ORDER BY runs.held
 LIMIT 1 OFFSET 0;

-- SELECT_HELD_MESSAGES
SELECT messages.id, messages.held
FROM messages
WHERE messages.thread_id = $1::VARCHAR AND held IS NOT NULL ORDER BY messages.held;

-- RELEASE_MESSAGE
UPDATE messages SET seq=nextval('messages_seq_seq'), held=NULL WHERE messages.id = $1::VARCHAR;

-- RELEASE_RUN
UPDATE runs SET expires_at=((runs.expires_at - runs.created_at) + $1::BIGINT), version=(runs.version + 1), held=NULL WHERE runs.id = $2::VARCHAR;

-- LET_IN
UPDATE threads SET live_run=$1::VARCHAR, waiting=(threads.waiting - $2::INTEGER) WHERE threads.id = $3::VARCHAR;

-- ==== src/clew/store/messages.py ====

-- INSERT_MESSAGE
INSERT INTO messages (id, project, created_at, thread_id, role, content, assistant_id, run_id, status, incomplete_reason, completed_at, incomplete_at, attachments, metadata, held) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BIGINT, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::VARCHAR, $9::VARCHAR, $10::VARCHAR, $11::BIGINT, $12::BIGINT, $13::VARCHAR, $14::VARCHAR, $15::INTEGER);

-- SELECT_MESSAGE
SELECT messages.id, messages.project, messages.thread_id, messages.created_at, messages.role, messages.content, messages.assistant_id, messages.run_id, messages.status, messages.incomplete_reason, messages.completed_at, messages.incomplete_at, messages.attachments, messages.metadata, messages.held
FROM messages
WHERE messages.id = $1::VARCHAR AND messages.thread_id = $2::VARCHAR AND messages.project = $3::VARCHAR;

-- UPDATE_METADATA
UPDATE messages SET metadata=$1::VARCHAR WHERE messages.id = $2::VARCHAR AND messages.thread_id = $3::VARCHAR AND messages.project = $4::VARCHAR;

-- DELETE_MESSAGE
DELETE FROM messages WHERE messages.id = $1::VARCHAR AND messages.thread_id = $2::VARCHAR AND messages.project = $3::VARCHAR;

-- HOLD_PARENT
SELECT threads.seq
FROM threads
WHERE threads.id = $1::VARCHAR FOR NO KEY UPDATE;

-- COUNT_UP
UPDATE threads SET message_count=(threads.message_count + 1), waiting=(threads.waiting + $1::INTEGER) WHERE threads.id = $2::VARCHAR AND threads.project = $3::VARCHAR AND threads.message_count < 100000;

-- COUNT_UP_IF_FREE
UPDATE threads SET message_count=(threads.message_count + 1) WHERE threads.id = $1::VARCHAR AND threads.project = $2::VARCHAR AND threads.message_count < 100000 AND threads.live_run IS NULL;

-- COUNT_DOWN
UPDATE threads SET message_count=(threads.message_count - 1) WHERE threads.id = $1::VARCHAR;

-- SELECT_NEWEST
SELECT messages.id, messages.project, messages.thread_id, messages.created_at, messages.role, messages.content, messages.assistant_id, messages.run_id, messages.status, messages.incomplete_reason, messages.completed_at, messages.incomplete_at, messages.attachments, messages.metadata, messages.held
FROM messages
WHERE messages.thread_id = $1::VARCHAR AND messages.held IS NULL AND (messages.run_id IS NULL OR messages.run_id != $2::VARCHAR) ORDER BY messages.seq DESC
 LIMIT $3 OFFSET 0;

-- SELECT_SINCE
SELECT (SELECT threads.message_count
FROM threads
WHERE threads.id = $1::VARCHAR) - (SELECT count(*) AS count_1
FROM messages AS messages_1
WHERE messages_1.thread_id = $1::VARCHAR AND messages_1.held IS NOT NULL) AS anon_1, messages.seq, messages.id, messages.project, messages.thread_id, messages.created_at, messages.role, messages.content, messages.assistant_id, messages.run_id, messages.status, messages.incomplete_reason, messages.completed_at, messages.incomplete_at, messages.attachments, messages.metadata, messages.held
FROM messages
WHERE messages.thread_id = $1::VARCHAR AND messages.held IS NULL AND messages.seq >= $2::BIGINT ORDER BY messages.seq
 LIMIT $3 OFFSET 0;

-- SELECT_OF_RUN
SELECT messages.id, messages.project, messages.thread_id, messages.created_at, messages.role, messages.content, messages.assistant_id, messages.run_id, messages.status, messages.incomplete_reason, messages.completed_at, messages.incomplete_at, messages.attachments, messages.metadata, messages.held
FROM messages
WHERE messages.run_id = $1::VARCHAR ORDER BY messages.seq;

-- ==== src/clew/store/metrics.py ====

-- COUNT_RUNS
SELECT runs.status, runs.code, runs.model, count(*) AS count_1, sum(runs.prompt_tokens) AS sum_1, sum(runs.completion_tokens) AS sum_2, sum(runs.cached_tokens) AS sum_3, sum(runs.reasoning_tokens) AS sum_4, sum(runs.cost) AS sum_5
FROM runs
WHERE runs.project = $1::VARCHAR AND ended_at IS NOT NULL AND runs.ended_at BETWEEN $2::BIGINT AND $3::BIGINT GROUP BY runs.status, runs.code, runs.model;

-- COUNT_QUEUE
SELECT runs.queue_ms, count(*) AS count_1
FROM runs
WHERE runs.project = $1::VARCHAR AND ended_at IS NOT NULL AND runs.ended_at BETWEEN $2::BIGINT AND $3::BIGINT GROUP BY runs.queue_ms ORDER BY runs.queue_ms;

-- COUNT_FIRST_TOKEN
SELECT runs.first_token_ms, count(*) AS count_1
FROM runs
WHERE runs.project = $1::VARCHAR AND ended_at IS NOT NULL AND runs.ended_at BETWEEN $2::BIGINT AND $3::BIGINT GROUP BY runs.first_token_ms ORDER BY runs.first_token_ms;

-- COUNT_TOTAL
SELECT runs.total_ms, count(*) AS count_1
FROM runs
WHERE runs.project = $1::VARCHAR AND ended_at IS NOT NULL AND runs.ended_at BETWEEN $2::BIGINT AND $3::BIGINT GROUP BY runs.total_ms ORDER BY runs.total_ms;

-- COUNT_TOKENS
SELECT runs.model, runs.prompt_tokens + runs.completion_tokens AS anon_1, count(*) AS count_1
FROM runs
WHERE runs.project = $1::VARCHAR AND ended_at IS NOT NULL AND runs.ended_at BETWEEN $2::BIGINT AND $3::BIGINT GROUP BY runs.model, runs.prompt_tokens + runs.completion_tokens ORDER BY runs.model, runs.prompt_tokens + runs.completion_tokens;

-- COUNT_LIVE
SELECT runs.status, count(*) AS count_1
FROM runs
WHERE coalesce(runs.project, '') = $1::VARCHAR AND held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action') GROUP BY runs.status;

-- COUNT_CALLS
SELECT calls.name, calls.result, calls.ms, count(*) AS count_1
FROM calls
WHERE calls.project = $1::VARCHAR AND ended_at IS NOT NULL AND calls.ended_at BETWEEN $2::BIGINT AND $3::BIGINT GROUP BY calls.name, calls.result, calls.ms ORDER BY calls.name, calls.ms;

-- ==== src/clew/store/near.py ====

-- SELECT_TABLE
SELECT number, type, dimensions, ready FROM near_stores WHERE store = $1 AND embedder = $2;

-- SELECT_WHOLE
SELECT store_file, windows FROM near_files WHERE number = $1 AND whole;

-- SELECT_MISSING
SELECT vectors.store_file, vectors.windows, vectors.dimensions FROM store_files JOIN vectors ON vectors.store_file = store_files.seq AND vectors.embedder = $2 WHERE store_files.store_id = $1 AND store_files.status = 'completed' AND vectors.windows > 0 AND NOT EXISTS (SELECT FROM near_files WHERE near_files.store_file = store_files.seq AND near_files.number = $3 AND near_files.whole) ORDER BY store_files.seq;

-- HOLD_OWNER
SELECT 1 FROM vector_stores WHERE id = $1 AND embedder = $2 FOR KEY SHARE;

-- HOLD_FILE
SELECT 1 FROM store_files WHERE seq = $1 FOR KEY SHARE;

-- HOLD_TABLE
SELECT number, store FROM near_stores WHERE number = $1 FOR UPDATE;

-- SELECT_OWNER
SELECT 1 FROM vector_stores WHERE id = $1;

-- SELECT_NUMBER
SELECT number FROM near_stores WHERE store = $1 FOR UPDATE;

-- INSERT_TABLE
INSERT INTO near_stores (store, embedder, dimensions, type, ready) VALUES ($1, $2, $3, $4, FALSE) RETURNING number;

-- SET_READY
UPDATE near_stores SET ready = TRUE WHERE number = $1;

-- DELETE_TABLE
DELETE FROM near_stores WHERE number = $1;

-- DELETE_FILES
DELETE FROM near_files WHERE number = $1;

-- DELETE_FILE
DELETE FROM near_files WHERE store_file = $1 RETURNING number;

-- PUT_FILE
INSERT INTO near_files (store_file, number, windows, whole) VALUES ($1, $2, $3, $4) ON CONFLICT (store_file) DO UPDATE SET number = $2, windows = $3, whole = $4;

-- SELECT_CHUNKS
SELECT store_file, number FROM chunks WHERE store_file = ANY(CAST($1 AS BIGINT[])) ORDER BY store_file, number LIMIT $2;

-- BY_GRAPH
SELECT set_config('enable_seqscan', 'off', TRUE), set_config('enable_sort', 'off', TRUE), set_config('hnsw.ef_search', CAST($1 AS TEXT), TRUE);

-- BY_GRAPH_ON
SELECT set_config('enable_seqscan', 'off', TRUE), set_config('enable_sort', 'off', TRUE), set_config('hnsw.ef_search', CAST($1 AS TEXT), TRUE), set_config('hnsw.iterative_scan', 'strict_order', TRUE);

-- ==== src/clew/store/projects.py ====

-- INSERT_PROJECT
INSERT INTO projects (name, created_at, limits) VALUES ($1::VARCHAR, $2::BIGINT, $3::VARCHAR);

-- SELECT_PROJECTS
SELECT projects.name, projects.created_at, projects.limits
FROM projects ORDER BY projects.name;

-- SELECT_PROJECT
SELECT projects.name, projects.created_at, projects.limits
FROM projects
WHERE projects.name = $1::VARCHAR;

-- UPDATE_LIMITS
UPDATE projects SET limits=$1::VARCHAR WHERE projects.name = $2::VARCHAR;

-- DELETE_PROJECT
DELETE FROM projects WHERE projects.name = $1::VARCHAR;

-- SELECT_WAITING
SELECT runs.id
FROM runs
WHERE runs.project = $1::VARCHAR AND waits_for = 'share' ORDER BY runs.seq
 LIMIT $2 OFFSET 0;

-- SELECT_PROJECTS_WAITING
WITH RECURSIVE projects_waiting(name) AS
(SELECT min(runs.project) AS name
FROM runs
WHERE waits_for = 'share' UNION ALL SELECT (SELECT min(runs.project) AS min_1
FROM runs
WHERE waits_for = 'share' AND runs.project > projects_waiting.name) AS anon_1
FROM projects_waiting
WHERE projects_waiting.name IS NOT NULL)
 SELECT projects_waiting.name
FROM projects_waiting
WHERE projects_waiting.name IS NOT NULL;

-- HAVE_WAIT
UPDATE runs SET version=(runs.version + 1), waits_for='share' WHERE runs.id = $1::VARCHAR AND runs.version = $2::INTEGER AND runs.status = 'queued';

-- COUNT_THREADS
SELECT count(*) AS count_1, sum(threads.message_count) AS sum_1
FROM threads
WHERE threads.project = $1::VARCHAR AND NOT hidden;

-- COUNT_LIVE
SELECT count(*) AS count_1
FROM runs
WHERE coalesce(runs.project, '') = $1::VARCHAR AND held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action');

-- COUNTS[1]
SELECT count(*) AS count_1
FROM agents
WHERE agents.project = $1::VARCHAR;

-- COUNTS[2]
SELECT count(*) AS count_1
FROM webhooks
WHERE webhooks.project = $1::VARCHAR;

-- COUNTS[3]
SELECT count(*) AS count_1
FROM keys
WHERE keys.project = $1::VARCHAR;

-- COUNTS[4]
SELECT count(*) AS count_1
FROM files
WHERE files.project = $1::VARCHAR;

-- SELECT_THREADS
SELECT threads.id
FROM threads
WHERE threads.project = $1::VARCHAR AND NOT hidden
 LIMIT $2 OFFSET 0;

-- SELECT_HIDDEN_THREADS
SELECT threads.id
FROM threads
WHERE threads.project = $1::VARCHAR AND threads.hidden
 LIMIT $2 OFFSET 0;

-- DELETE_OWNED[1]
DELETE FROM webhooks WHERE webhooks.project = $1::VARCHAR;

-- DELETE_OWNED[2]
DELETE FROM agents WHERE agents.project = $1::VARCHAR;

-- DELETE_OWNED[3]
DELETE FROM files WHERE files.project = $1::VARCHAR;

-- DELETE_OWNED[4]
DELETE FROM answers WHERE answers.project = $1::VARCHAR;

-- DELETE_OWNED[5]
DELETE FROM usage_by_day WHERE usage_by_day.project = $1::VARCHAR;

-- DELETE_OWNED[6]
DELETE FROM due_work WHERE due_work.project = $1::VARCHAR AND due_work.kind != 'purge';

-- DELETE_KEYS
DELETE FROM keys WHERE keys.project = $1::VARCHAR;

-- ==== src/clew/store/reindexing.py ====

-- SELECT_LACKING
SELECT store_files.seq
FROM store_files
WHERE store_files.store_id = $1::VARCHAR AND store_files.status = 'completed' AND store_files.seq > $2::BIGINT AND NOT (EXISTS (SELECT vectors.store_file
FROM vectors
WHERE vectors.store_file = store_files.seq AND vectors.embedder = $3::VARCHAR)) ORDER BY store_files.seq
 LIMIT $4 OFFSET 0;

-- COUNT_LACKING
SELECT count(*) AS count_1
FROM store_files
WHERE store_files.store_id = $1::VARCHAR AND store_files.status = 'completed' AND NOT (EXISTS (SELECT vectors.store_file
FROM vectors
WHERE vectors.store_file = store_files.seq AND vectors.embedder = $2::VARCHAR));

-- SELECT_OUTDATED
SELECT store_files.seq
FROM store_files
WHERE store_files.store_id = $1::VARCHAR AND store_files.seq > $2::BIGINT AND (EXISTS (SELECT vectors.store_file
FROM vectors
WHERE vectors.store_file = store_files.seq AND vectors.embedder != $3::VARCHAR)) ORDER BY store_files.seq
 LIMIT $4 OFFSET 0;

-- DELETE_OUTDATED
DELETE FROM vectors WHERE vectors.store_file = $1::BIGINT AND vectors.embedder != $2::VARCHAR;

-- IS_COMPLETED
SELECT store_files.seq
FROM store_files
WHERE store_files.seq = $1::BIGINT AND store_files.status = 'completed';

-- SELECT_OUTDATED_BYTES
SELECT sum(vectors.dimensions * vectors.windows) AS sum_1
FROM vectors
WHERE vectors.store_file = $1::BIGINT AND vectors.embedder != $2::VARCHAR;

-- ADD_FILE_BYTES
UPDATE store_files SET usage_bytes=(store_files.usage_bytes + $1::BIGINT) WHERE store_files.seq = $2::BIGINT;

-- ADD_STORE_BYTES
UPDATE vector_stores SET usage_bytes=(vector_stores.usage_bytes + $1::BIGINT) WHERE vector_stores.id = $2::VARCHAR;

-- SAVE_STATE
UPDATE vector_stores SET reindexing=$1::VARCHAR WHERE vector_stores.id = $2::VARCHAR;

-- SWITCH_STORE
UPDATE vector_stores SET embedder=$1::VARCHAR, version=(vector_stores.version + 1), reindexing=NULL WHERE vector_stores.id = $2::VARCHAR;

-- ==== src/clew/store/retention.py ====

-- SELECT_PAGE
SELECT threads.seq, threads.id, threads.live_run, threads.waiting, threads.created_at, (SELECT messages.created_at
FROM messages
WHERE messages.thread_id = threads.id ORDER BY messages.seq DESC
 LIMIT 1 OFFSET 0) AS anon_1, (SELECT runs.created_at
FROM runs
WHERE runs.thread_id = threads.id ORDER BY runs.seq DESC
 LIMIT 1 OFFSET 0) AS anon_2, (SELECT max(runs.ended_at) AS max_1
FROM runs
WHERE runs.thread_id = threads.id) AS anon_3
FROM threads
WHERE threads.project = $1::VARCHAR AND NOT hidden AND threads.seq > $2::BIGINT ORDER BY threads.seq
 LIMIT 200 OFFSET 0;

-- ==== src/clew/store/run_lists.py ====

-- SELECT_PLACE
SELECT runs.seq
FROM runs
WHERE runs.id = $1::VARCHAR AND runs.project = $2::VARCHAR;

-- SELECT_ID
SELECT runs.id
FROM runs
WHERE runs.seq = $1::BIGINT;

-- SELECT_LAST_BEFORE
SELECT runs.id
FROM runs
WHERE runs.project = $1::VARCHAR AND runs.seq <= $2::BIGINT ORDER BY runs.seq DESC
 LIMIT 1 OFFSET 0;

-- SELECT_FIRST_BEHIND
SELECT runs.id
FROM runs
WHERE runs.project = $1::VARCHAR AND runs.seq >= $2::BIGINT ORDER BY runs.seq ASC
 LIMIT 1 OFFSET 0;

-- SELECT_NEAR
SELECT runs.seq, runs.created_at
FROM runs
WHERE runs.seq <= $1::BIGINT ORDER BY runs.seq DESC
 LIMIT 1 OFFSET 0;

-- SELECT_NEWEST
SELECT max(runs.seq) AS max_1
FROM runs;

-- SELECT_IS_THERE
SELECT threads.seq
FROM threads
WHERE threads.id = $1::VARCHAR AND threads.project = $2::VARCHAR;

-- SELECT_LIVE
SELECT live_and_held.id, live_and_held.thread_id, live_and_held.assistant_id, live_and_held.status, live_and_held.version, live_and_held.at
FROM (SELECT runs.seq AS seq, runs.id AS id, runs.thread_id AS thread_id, runs.assistant_id AS assistant_id, runs.status AS status, runs.version AS version, coalesce(runs.started_at, runs.created_at) AS at
FROM runs
WHERE coalesce(runs.project, '') = $1::VARCHAR AND held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action') UNION ALL SELECT runs.seq AS seq, runs.id AS id, runs.thread_id AS thread_id, runs.assistant_id AS assistant_id, runs.status AS status, runs.version AS version, coalesce(runs.started_at, runs.created_at) AS at
FROM runs
WHERE coalesce(runs.project, '') = $1::VARCHAR AND held IS NOT NULL) AS live_and_held ORDER BY live_and_held.seq;

-- ==== src/clew/store/runs.py ====

-- SELECT_GROUND
SELECT threads.live_run, threads.token_budget, threads.tokens_used, threads.tool_resources, agents.temperature, agents.top_p, agents.response_format, agents.reasoning_effort, agents.id, agents.project, agents.created_at, agents.model, agents.name, agents.description, agents.instructions, agents.tools, agents.tool_resources AS tool_resources_1, agents.metadata
FROM threads LEFT OUTER JOIN agents ON agents.id = $1::VARCHAR AND agents.project = threads.project
WHERE threads.id = $2::VARCHAR AND threads.project = $3::VARCHAR;

-- INSERT_RUN
INSERT INTO runs (id, project, created_at, thread_id, assistant_id, expires_at, config, status, started_at, completed_at, failed_at, cancelled_at, last_error, incomplete_reason, usage, turns, metadata, epoch, version, position, held, worker, begun_at, spoke_at, claimed_at, attempts, open_step, waits_for, due, waits, retrying_since, lost_turns, cost) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BIGINT, $4::VARCHAR, $5::VARCHAR, $6::BIGINT, $7::VARCHAR, $8::VARCHAR, $9::BIGINT, $10::BIGINT, $11::BIGINT, $12::BIGINT, $13::VARCHAR, $14::VARCHAR, $15::VARCHAR, $16::INTEGER, $17::VARCHAR, $18::INTEGER, $19::INTEGER, $20::BIGINT, $21::INTEGER, $22::VARCHAR, $23::BIGINT, $24::BIGINT, $25::BIGINT, $26::INTEGER, $27::VARCHAR, $28::VARCHAR, $29::BIGINT, $30::VARCHAR, $31::BIGINT, $32::INTEGER, $33::BIGINT);

-- SELECT_RUN
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM runs
WHERE runs.id = $1::VARCHAR AND runs.thread_id = $2::VARCHAR AND runs.project = $3::VARCHAR;

-- SELECT_BY_ID
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM runs
WHERE runs.id = $1::VARCHAR;

-- UPDATE_RUN
UPDATE runs SET status=$1::VARCHAR, started_at=$2::BIGINT, completed_at=$3::BIGINT, failed_at=$4::BIGINT, cancelled_at=$5::BIGINT, last_error=$6::VARCHAR, incomplete_reason=$7::VARCHAR, usage=$8::VARCHAR, turns=$9::INTEGER, epoch=$10::INTEGER, version=(runs.version + 1), position=$11::BIGINT, held=$12::INTEGER, worker=$13::VARCHAR, begun_at=$14::BIGINT, spoke_at=$15::BIGINT, claimed_at=$16::BIGINT, attempts=$17::INTEGER, open_step=$18::VARCHAR, waits_for=$19::VARCHAR, due=$20::BIGINT, waits=$21::VARCHAR, retrying_since=$22::BIGINT, lost_turns=$23::INTEGER, cost=$24::BIGINT WHERE runs.id = $25::VARCHAR AND runs.epoch = $26::INTEGER AND runs.version = $27::INTEGER;

-- END_RUN
UPDATE runs SET status=$1::VARCHAR, started_at=$2::BIGINT, completed_at=$3::BIGINT, failed_at=$4::BIGINT, cancelled_at=$5::BIGINT, last_error=$6::VARCHAR, incomplete_reason=$7::VARCHAR, usage=$8::VARCHAR, turns=$9::INTEGER, epoch=$10::INTEGER, version=(runs.version + 1), position=$11::BIGINT, held=$12::INTEGER, worker=$13::VARCHAR, begun_at=$14::BIGINT, spoke_at=$15::BIGINT, ended_at=$16::BIGINT, code=$17::VARCHAR, model=$18::VARCHAR, queue_ms=$19::INTEGER, first_token_ms=$20::INTEGER, total_ms=$21::BIGINT, prompt_tokens=$22::INTEGER, completion_tokens=$23::INTEGER, cached_tokens=$24::INTEGER, claimed_at=$25::BIGINT, attempts=$26::INTEGER, open_step=$27::VARCHAR, waits_for=$28::VARCHAR, due=$29::BIGINT, waits=$30::VARCHAR, retrying_since=$31::BIGINT, lost_turns=$32::INTEGER, cost=$33::BIGINT, reasoning_tokens=$34::INTEGER WHERE runs.id = $35::VARCHAR AND runs.epoch = $36::INTEGER AND runs.version = $37::INTEGER;

-- HOLD_BY_ID
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM runs
WHERE runs.id = $1::VARCHAR FOR NO KEY UPDATE;

-- HOLD_THREAD_OF_RUN
SELECT threads.seq
FROM threads
WHERE threads.id = (SELECT runs.thread_id
FROM runs
WHERE runs.id = $1::VARCHAR) FOR NO KEY UPDATE;

-- HOLD_RUN
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM runs
WHERE runs.id = $1::VARCHAR AND runs.thread_id = $2::VARCHAR AND runs.project = $3::VARCHAR FOR NO KEY UPDATE;

-- CLAIM_RUN
UPDATE runs SET epoch=$1::INTEGER, version=$2::INTEGER, position=$3::BIGINT, worker=$4::VARCHAR, claimed_at=$5::BIGINT, attempts=$6::INTEGER, waits_for=$7::VARCHAR, due=$8::BIGINT WHERE runs.id = $9::VARCHAR;

-- INSERT_TAKEOVER
INSERT INTO takeovers (run_id, at, epoch, turn, from_worker, to_worker) VALUES ($1::VARCHAR, $2::BIGINT, $3::INTEGER, $4::INTEGER, $5::VARCHAR, $6::VARCHAR);

-- DISOWN_RUN
UPDATE runs SET worker=NULL WHERE runs.id = $1::VARCHAR AND runs.epoch = $2::INTEGER AND held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action');

-- UPDATE_METADATA
UPDATE runs SET metadata=$1::VARCHAR WHERE runs.id = $2::VARCHAR AND runs.thread_id = $3::VARCHAR AND runs.project = $4::VARCHAR;

-- SELECT_DUE
SELECT runs.id
FROM runs
WHERE held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action') AND runs.expires_at <= $1::BIGINT;

-- SELECT_NEXT_DUE
SELECT min(runs.expires_at) AS min_1, min(runs.due) AS min_2
FROM runs
WHERE held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action');

-- SELECT_UNFINISHED
SELECT runs.id, runs.version, runs.status, runs.worker, workers.beats, runs.attempts, runs.claimed_at, runs.waits_for, runs.project
FROM runs LEFT OUTER JOIN workers ON workers.id = runs.worker
WHERE held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action') AND (runs.waits_for IS NULL OR runs.due <= $1::BIGINT) ORDER BY runs.expires_at;

-- ==== src/clew/store/steps.py ====

-- INSERT_STEP
INSERT INTO steps (id, project, created_at, thread_id, run_id, assistant_id, type, turn, position, status, message_id, last_error, usage, first_token_at, completed_at, failed_at, cancelled_at, expired_at, metadata, end_position, facts) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BIGINT, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::INTEGER, $9::BIGINT, $10::VARCHAR, $11::VARCHAR, $12::VARCHAR, $13::VARCHAR, $14::BIGINT, $15::BIGINT, $16::BIGINT, $17::BIGINT, $18::BIGINT, $19::VARCHAR, $20::BIGINT, $21::VARCHAR);

-- SELECT_STEP
SELECT steps.id, steps.project, steps.run_id, steps.thread_id, steps.assistant_id, steps.created_at, steps.type, steps.turn, steps.position, steps.end_position, steps.status, steps.message_id, steps.last_error, steps.usage, steps.facts, steps.first_token_at, steps.completed_at, steps.failed_at, steps.cancelled_at, steps.expired_at, steps.metadata
FROM steps
WHERE steps.id = $1::VARCHAR AND steps.run_id = $2::VARCHAR AND steps.thread_id = $3::VARCHAR AND steps.project = $4::VARCHAR;

-- SELECT_BY_ID
SELECT steps.id, steps.project, steps.run_id, steps.thread_id, steps.assistant_id, steps.created_at, steps.type, steps.turn, steps.position, steps.end_position, steps.status, steps.message_id, steps.last_error, steps.usage, steps.facts, steps.first_token_at, steps.completed_at, steps.failed_at, steps.cancelled_at, steps.expired_at, steps.metadata
FROM steps
WHERE steps.id = $1::VARCHAR;

-- SELECT_OF_RUN
SELECT steps.id, steps.project, steps.run_id, steps.thread_id, steps.assistant_id, steps.created_at, steps.type, steps.turn, steps.position, steps.end_position, steps.status, steps.message_id, steps.last_error, steps.usage, steps.facts, steps.first_token_at, steps.completed_at, steps.failed_at, steps.cancelled_at, steps.expired_at, steps.metadata
FROM steps
WHERE steps.run_id = $1::VARCHAR ORDER BY steps.seq;

-- SELECT_SEVERAL
SELECT steps.id, steps.project, steps.run_id, steps.thread_id, steps.assistant_id, steps.created_at, steps.type, steps.turn, steps.position, steps.end_position, steps.status, steps.message_id, steps.last_error, steps.usage, steps.facts, steps.first_token_at, steps.completed_at, steps.failed_at, steps.cancelled_at, steps.expired_at, steps.metadata
FROM steps
WHERE steps.id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) ORDER BY steps.seq;

-- UPDATE_STEP
UPDATE steps SET status=$1::VARCHAR, last_error=$2::VARCHAR, usage=$3::VARCHAR, completed_at=$4::BIGINT, failed_at=$5::BIGINT, cancelled_at=$6::BIGINT, expired_at=$7::BIGINT, end_position=$8::BIGINT WHERE steps.id = $9::VARCHAR;

-- ==== src/clew/store/store_files.py ====

-- INSERT_FILES
INSERT INTO store_files (id, filename, attributes, chunking, project, created_at, store_id, status, usage_bytes, batch_id) SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, $2, $3, $4, 'in_progress', 0, $5 FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS given (value, key) ORDER BY key;

-- INSERT_INGESTIONS
INSERT INTO due_work (kind, id, project, lane, created_at, due, attempts, epoch) SELECT 'ingestion', $4::text || '/' || (value ->> 0), $2, $4::text, $3::bigint, $3::bigint, 0, 0 FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS given (value, key) ORDER BY key;

-- SELECT_FILE
SELECT store_files.seq, store_files.id, store_files.project, store_files.created_at, store_files.store_id, store_files.filename, store_files.status, store_files.last_error, store_files.attributes, store_files.chunking, store_files.usage_bytes, store_files.batch_id
FROM store_files
WHERE store_files.store_id = $1::VARCHAR AND store_files.id = $2::VARCHAR;

-- SELECT_SOME
SELECT seq, id, project, created_at, store_id, filename, status, last_error, attributes, chunking, usage_bytes, batch_id FROM store_files WHERE store_id = $1 AND id = ANY (ARRAY(SELECT jsonb_array_elements_text($2::jsonb)));

-- SELECT_OF_FILE
SELECT store_files.seq, store_files.id, store_files.project, store_files.created_at, store_files.store_id, store_files.filename, store_files.status, store_files.last_error, store_files.attributes, store_files.chunking, store_files.usage_bytes, store_files.batch_id
FROM store_files
WHERE store_files.id = $1::VARCHAR;

-- SELECT_OF_STORE
SELECT store_files.seq, store_files.id, store_files.project, store_files.created_at, store_files.store_id, store_files.filename, store_files.status, store_files.last_error, store_files.attributes, store_files.chunking, store_files.usage_bytes, store_files.batch_id
FROM store_files
WHERE store_files.store_id = $1::VARCHAR;

-- SELECT_OF_BATCH
SELECT store_files.seq, store_files.id, store_files.project, store_files.created_at, store_files.store_id, store_files.filename, store_files.status, store_files.last_error, store_files.attributes, store_files.chunking, store_files.usage_bytes, store_files.batch_id
FROM store_files
WHERE store_files.batch_id = $1::VARCHAR AND store_files.status = 'in_progress';

-- SELECT_COMPLETED
SELECT store_files.seq, store_files.id, store_files.filename, store_files.attributes
FROM store_files
WHERE store_files.store_id = $1::VARCHAR AND store_files.status = 'completed';

-- SETTLE_FILE
UPDATE store_files SET status=$1::VARCHAR, last_error=$2::VARCHAR, usage_bytes=$3::BIGINT WHERE store_files.seq = $4::BIGINT AND store_files.status = 'in_progress';

-- SAVE_ATTRIBUTES
UPDATE store_files SET attributes=$1::VARCHAR WHERE store_files.seq = $2::BIGINT;

-- DELETE_FILE
DELETE FROM store_files WHERE store_files.seq = $1::BIGINT;

-- SELECT_OF_PROJECT
SELECT store_files.seq
FROM store_files
WHERE store_files.project = $1::VARCHAR;

-- DELETE_OF_PROJECT[1]
DELETE FROM store_files WHERE store_files.project = $1::VARCHAR;

-- DELETE_OF_PROJECT[2]
DELETE FROM file_batches WHERE file_batches.project = $1::VARCHAR;

-- DELETE_OF_PROJECT[3]
DELETE FROM vector_stores WHERE vector_stores.project = $1::VARCHAR;

-- DELETE_OF_STORE
DELETE FROM store_files WHERE store_files.store_id = $1::VARCHAR;

-- INSERT_CHUNK
INSERT INTO chunks (store, store_file, number, text, tokens, page, first_line, last_line) VALUES ($1::VARCHAR, $2::BIGINT, $3::INTEGER, $4::VARCHAR, $5::INTEGER, $6::INTEGER, $7::INTEGER, $8::INTEGER);

-- SELECT_CHUNK
SELECT chunks.store, chunks.store_file, chunks.number, chunks.text, chunks.tokens, chunks.page, chunks.first_line, chunks.last_line
FROM chunks
WHERE chunks.store_file = $1::BIGINT AND chunks.number = $2::INTEGER;

-- SELECT_CHUNKS
SELECT chunks.store, chunks.store_file, chunks.number, chunks.text, chunks.tokens, chunks.page, chunks.first_line, chunks.last_line
FROM chunks
WHERE chunks.store_file = $1::BIGINT AND chunks.number >= $2::INTEGER ORDER BY chunks.number
 LIMIT $3 OFFSET 0;

-- SELECT_FIRST_AND_LAST
SELECT min(chunks.number) AS min_1, max(chunks.number) AS max_1
FROM chunks
WHERE chunks.store_file = $1::BIGINT;

-- DELETE_CHUNKS
DELETE FROM chunks WHERE chunks.store_file = $1::BIGINT AND chunks.number >= $2::INTEGER AND chunks.number < $3::INTEGER;

-- INSERT_VECTORS
INSERT INTO vectors (store_file, embedder, dimensions, windows, ranges, data) VALUES ($1::BIGINT, $2::VARCHAR, $3::INTEGER, $4::INTEGER, $5::VARCHAR, $6::BYTEA);

-- SELECT_VECTORS
SELECT vectors.dimensions, vectors.ranges, vectors.data
FROM vectors
WHERE vectors.store_file = $1::BIGINT AND vectors.embedder = $2::VARCHAR;

-- DELETE_VECTORS
DELETE FROM vectors WHERE vectors.store_file = $1::BIGINT;

-- ==== src/clew/store/threads.py ====

-- INSERT_THREAD
INSERT INTO threads (id, project, created_at, metadata, tool_resources, token_budget, tokens_used, message_count, live_run, hidden, begins_in, begins_after) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BIGINT, $4::VARCHAR, $5::VARCHAR, $6::BIGINT, $7::BIGINT, $8::INTEGER, $9::VARCHAR, $10::BOOLEAN, $11::VARCHAR, $12::BIGINT);

-- SELECT_THREAD
SELECT threads.id, threads.project, threads.created_at, threads.metadata, threads.tool_resources, threads.token_budget, threads.tokens_used, threads.hidden, threads.begins_in, threads.begins_after
FROM threads
WHERE threads.id = $1::VARCHAR AND threads.project = $2::VARCHAR;

-- HOLD_THREAD
SELECT threads.seq
FROM threads
WHERE threads.id = $1::VARCHAR AND threads.project = $2::VARCHAR FOR NO KEY UPDATE;

-- HOLD_LOCK
SELECT threads.live_run, threads.token_budget, threads.tokens_used
FROM threads
WHERE threads.id = $1::VARCHAR AND threads.project = $2::VARCHAR FOR NO KEY UPDATE;

-- TAKE
UPDATE threads SET live_run=$1::VARCHAR WHERE threads.id = $2::VARCHAR AND threads.live_run IS NULL AND threads.tokens_used = coalesce($3, threads.tokens_used);

-- JOIN_LINE
UPDATE threads SET waiting=(threads.waiting + 1) WHERE threads.id = $1::VARCHAR;

-- HOLD_FOR_RUN
SELECT threads.live_run, threads.waiting, EXISTS (SELECT *
FROM webhooks
WHERE webhooks.project = threads.project AND webhooks.disabled_at IS NULL) AS anon_1
FROM threads
WHERE threads.id = $1::VARCHAR FOR NO KEY UPDATE OF threads;

-- HOLD_WITHOUT_LINE
SELECT threads.live_run, threads.waiting, EXISTS (SELECT *
FROM webhooks
WHERE webhooks.project = threads.project AND webhooks.disabled_at IS NULL) AS anon_1
FROM threads
WHERE threads.id = $1::VARCHAR AND threads.waiting = 0 FOR NO KEY UPDATE OF threads;

-- COUNT
UPDATE threads SET tokens_used=(threads.tokens_used + $1::BIGINT), message_count=(threads.message_count + $2::INTEGER), live_run=nullif(threads.live_run, $3), waiting=(threads.waiting - $4::INTEGER) WHERE threads.id = $5::VARCHAR;

-- UPDATE_THREAD
UPDATE threads SET metadata=$1::VARCHAR, tool_resources=$2::VARCHAR, token_budget=$3::BIGINT WHERE threads.id = $4::VARCHAR AND threads.project = $5::VARCHAR;

-- DELETE_THREAD
DELETE FROM threads WHERE threads.id = $1::VARCHAR AND threads.project = $2::VARCHAR;

-- INSERT_TAG
INSERT INTO thread_tags (thread_seq, key, value, project) VALUES ((SELECT threads.seq
FROM threads
WHERE threads.id = $1::VARCHAR), $2::VARCHAR, $3::VARCHAR, $4::VARCHAR);

-- DELETE_TAGS
DELETE FROM thread_tags WHERE thread_tags.thread_seq = (SELECT threads.seq
FROM threads
WHERE threads.id = $1::VARCHAR);

-- SELECT_NEWEST_MESSAGE
SELECT messages.created_at
FROM messages
WHERE messages.thread_id = $1::VARCHAR ORDER BY messages.seq DESC
 LIMIT 1 OFFSET 0;

-- SELECT_NEWEST_RUN
SELECT max(runs.created_at) AS max_1, max(runs.ended_at) AS max_2
FROM runs
WHERE runs.thread_id = $1::VARCHAR;

-- DELETE_CHILDREN[1]
DELETE FROM steps WHERE steps.thread_id = $1::VARCHAR;

-- DELETE_CHILDREN[2]
DELETE FROM messages WHERE messages.thread_id = $1::VARCHAR;

-- DELETE_CHILDREN[3]
DELETE FROM runs WHERE runs.thread_id = $1::VARCHAR;

-- ==== src/clew/store/vector_stores.py ====

-- INSERT_STORE
INSERT INTO vector_stores (id, project, created_at, name, metadata, expires_days, last_active_at, embedder, version, usage_bytes, in_progress, completed, failed, cancelled, reindexing) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BIGINT, $4::VARCHAR, $5::VARCHAR, $6::INTEGER, $7::BIGINT, $8::VARCHAR, $9::BIGINT, $10::BIGINT, $11::INTEGER, $12::INTEGER, $13::INTEGER, $14::INTEGER, $15::VARCHAR);

-- SELECT_STORE
SELECT vector_stores.id, vector_stores.project, vector_stores.created_at, vector_stores.name, vector_stores.metadata, vector_stores.expires_days, vector_stores.last_active_at, vector_stores.embedder, vector_stores.version, vector_stores.usage_bytes, vector_stores.reindexing, vector_stores.in_progress, vector_stores.completed, vector_stores.failed, vector_stores.cancelled
FROM vector_stores
WHERE vector_stores.id = $1::VARCHAR AND vector_stores.project = $2::VARCHAR;

-- HOLD_STORE
SELECT vector_stores.id, vector_stores.project, vector_stores.created_at, vector_stores.name, vector_stores.metadata, vector_stores.expires_days, vector_stores.last_active_at, vector_stores.embedder, vector_stores.version, vector_stores.usage_bytes, vector_stores.reindexing, vector_stores.in_progress, vector_stores.completed, vector_stores.failed, vector_stores.cancelled
FROM vector_stores
WHERE vector_stores.id = $1::VARCHAR AND vector_stores.project = $2::VARCHAR FOR UPDATE;

-- DELETE_STORE
DELETE FROM vector_stores WHERE vector_stores.id = $1::VARCHAR AND vector_stores.project = $2::VARCHAR;

-- UPDATE_STORE
UPDATE vector_stores SET name=$1::VARCHAR, metadata=$2::VARCHAR, expires_days=$3::INTEGER, last_active_at=$4::BIGINT WHERE vector_stores.id = $5::VARCHAR;

-- TOUCH_STORE
UPDATE vector_stores SET last_active_at=$1::BIGINT WHERE vector_stores.id = $2::VARCHAR;

-- COUNT_STORE
UPDATE vector_stores SET version=(vector_stores.version + 1), usage_bytes=(vector_stores.usage_bytes + $1::BIGINT), in_progress=(vector_stores.in_progress + $2::INTEGER), completed=(vector_stores.completed + $3::INTEGER), failed=(vector_stores.failed + $4::INTEGER), cancelled=(vector_stores.cancelled + $5::INTEGER) WHERE vector_stores.id = $6::VARCHAR;

-- INSERT_BATCH
INSERT INTO file_batches (id, project, created_at, store_id, cancelled_at, in_progress, completed, failed, cancelled) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BIGINT, $4::VARCHAR, $5::BIGINT, $6::INTEGER, $7::INTEGER, $8::INTEGER, $9::INTEGER);

-- SELECT_BATCH
SELECT file_batches.id, file_batches.project, file_batches.created_at, file_batches.store_id, file_batches.cancelled_at, file_batches.in_progress, file_batches.completed, file_batches.failed, file_batches.cancelled
FROM file_batches
WHERE file_batches.id = $1::VARCHAR AND file_batches.project = $2::VARCHAR AND file_batches.store_id = $3::VARCHAR;

-- DELETE_BATCHES
DELETE FROM file_batches WHERE file_batches.store_id = $1::VARCHAR;

-- CANCEL_BATCH
UPDATE file_batches SET cancelled_at=$1::BIGINT WHERE file_batches.id = $2::VARCHAR;

-- COUNT_BATCH
UPDATE file_batches SET in_progress=(file_batches.in_progress + $1::INTEGER), completed=(file_batches.completed + $2::INTEGER), failed=(file_batches.failed + $3::INTEGER), cancelled=(file_batches.cancelled + $4::INTEGER) WHERE file_batches.id = $5::VARCHAR;

-- SELECT_WAITING
SELECT runs.id
FROM runs
WHERE coalesce(runs.project, '') = $1::VARCHAR AND waits_for = 'files' AND runs.config LIKE $2::VARCHAR;

-- WAKE_RUNS
UPDATE runs SET version=(runs.version + 1), waits_for=NULL, due=NULL WHERE coalesce(runs.project, '') = $1::VARCHAR AND waits_for = 'files' AND runs.config LIKE $2::VARCHAR;

-- ==== src/clew/store/webhooks.py ====

-- INSERT_WEBHOOK
INSERT INTO webhooks (id, project, created_at, url, events, secret, metadata, disabled_at, last_error) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BIGINT, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::BIGINT, $9::VARCHAR);

-- SELECT_WEBHOOK
SELECT webhooks.id, webhooks.project, webhooks.created_at, webhooks.url, webhooks.events, webhooks.secret, webhooks.metadata, webhooks.disabled_at, webhooks.last_error
FROM webhooks
WHERE webhooks.id = $1::VARCHAR AND webhooks.project = $2::VARCHAR;

-- COUNT_WEBHOOKS
SELECT count(*) AS count_1
FROM webhooks
WHERE webhooks.project = $1::VARCHAR;

-- DELETE_WEBHOOK
DELETE FROM webhooks WHERE webhooks.id = $1::VARCHAR AND webhooks.project = $2::VARCHAR;

-- DISABLE_WEBHOOK
UPDATE webhooks SET disabled_at=$1::BIGINT, last_error=$2::VARCHAR WHERE webhooks.id = $3::VARCHAR;

-- SAVE_ERROR
UPDATE webhooks SET last_error=$1::VARCHAR WHERE webhooks.id = $2::VARCHAR;

-- SELECT_SECRETS
SELECT webhooks.id, webhooks.secret
FROM webhooks;

-- SAVE_SECRET
UPDATE webhooks SET secret=$1::VARCHAR WHERE webhooks.id = $2::VARCHAR;

-- CLEAR_ERROR
UPDATE webhooks SET last_error=NULL WHERE webhooks.id = $1::VARCHAR AND webhooks.last_error IS NOT NULL;

-- ANNOUNCE
INSERT INTO due_work (kind, id, project, lane, created_at, due, attempts, epoch, payload) SELECT 'webhook', webhooks.id || $1::VARCHAR AS anon_1, webhooks.project, webhooks.id, $2::BIGINT AS anon_2, $3::BIGINT AS anon_3, 0, 0, $4::VARCHAR AS anon_4
FROM webhooks
WHERE webhooks.project = $5::VARCHAR AND webhooks.disabled_at IS NULL AND webhooks.events LIKE $6::VARCHAR;

-- ==== src/clew/store/workers.py ====

-- INSERT_WORKER
INSERT INTO workers (id, host, pid, works, started_at, seen_at, beats, active_runs) VALUES ($1::VARCHAR, $2::VARCHAR, $3::INTEGER, $4::BOOLEAN, $5::BIGINT, $6::BIGINT, $7::BIGINT, $8::INTEGER);

-- UPDATE_WORKER
UPDATE workers SET seen_at=$1::BIGINT, beats=(workers.beats + 1), active_runs=$2::INTEGER WHERE workers.id = $3::VARCHAR;

-- SELECT_BEATS
SELECT workers.id, workers.beats
FROM workers;

-- SELECT_WORKERS
SELECT workers.id, workers.host, workers.pid, workers.works, workers.started_at, workers.seen_at, workers.beats, workers.active_runs
FROM workers ORDER BY workers.started_at;

-- DELETE_WORKER
DELETE FROM workers WHERE workers.id = $1::VARCHAR;

-- DELETE_SILENT
DELETE FROM workers WHERE workers.seen_at < $1::BIGINT;

-- ==== src/clew/store/pages.py ====

-- agents of a project, behind a cursor
SELECT agents.temperature, agents.top_p, agents.response_format, agents.reasoning_effort, agents.id, agents.project, agents.created_at, agents.model, agents.name, agents.description, agents.instructions, agents.tools, agents.tool_resources, agents.metadata
FROM agents
WHERE agents.project = $1::VARCHAR AND agents.seq < (SELECT agents.seq
FROM agents
WHERE agents.id = $2::VARCHAR AND agents.project = $1::VARCHAR) ORDER BY agents.seq DESC
 LIMIT $3 OFFSET 0;

-- threads of a project, behind a cursor
SELECT threads.id, threads.project, threads.created_at, threads.metadata, threads.tool_resources, threads.token_budget, threads.tokens_used, threads.hidden, threads.begins_in, threads.begins_after
FROM threads
WHERE threads.project = $1::VARCHAR AND NOT hidden AND threads.seq < (SELECT threads.seq
FROM threads
WHERE threads.id = $2::VARCHAR AND threads.project = $1::VARCHAR) ORDER BY threads.seq DESC
 LIMIT $3 OFFSET 0;

-- threads with two pairs of metadata, behind a cursor
SELECT threads.id, threads.project, threads.created_at, threads.metadata, threads.tool_resources, threads.token_budget, threads.tokens_used, threads.hidden, threads.begins_in, threads.begins_after
FROM threads
WHERE threads.project = $1::VARCHAR AND NOT hidden AND threads.seq < (SELECT threads.seq
FROM threads
WHERE threads.id = $2::VARCHAR AND threads.project = $1::VARCHAR) AND threads.seq IN (SELECT thread_tags.thread_seq
FROM thread_tags
WHERE thread_tags.project = $1::VARCHAR AND thread_tags.key = $3::VARCHAR AND thread_tags.value = $4::VARCHAR) AND threads.seq IN (SELECT thread_tags.thread_seq
FROM thread_tags
WHERE thread_tags.project = $1::VARCHAR AND thread_tags.key = $5::VARCHAR AND thread_tags.value = $6::VARCHAR) ORDER BY threads.seq DESC
 LIMIT $7 OFFSET 0;

-- messages of a thread, behind a cursor
SELECT messages.id, messages.project, messages.thread_id, messages.created_at, messages.role, messages.content, messages.assistant_id, messages.run_id, messages.status, messages.incomplete_reason, messages.completed_at, messages.incomplete_at, messages.attachments, messages.metadata, messages.held
FROM messages
WHERE messages.project = $1::VARCHAR AND messages.thread_id = $2::VARCHAR AND messages.held IS NULL AND messages.seq < (SELECT messages.seq
FROM messages
WHERE messages.id = $3::VARCHAR AND messages.project = $1::VARCHAR AND messages.thread_id = $2::VARCHAR) ORDER BY messages.seq DESC
 LIMIT $4 OFFSET 0;

-- messages of a run, behind a cursor
SELECT messages.id, messages.project, messages.thread_id, messages.created_at, messages.role, messages.content, messages.assistant_id, messages.run_id, messages.status, messages.incomplete_reason, messages.completed_at, messages.incomplete_at, messages.attachments, messages.metadata, messages.held
FROM messages
WHERE messages.project = $1::VARCHAR AND messages.thread_id = $2::VARCHAR AND messages.run_id = $3::VARCHAR AND messages.held IS NULL AND messages.seq < (SELECT messages.seq
FROM messages
WHERE messages.id = $4::VARCHAR AND messages.project = $1::VARCHAR AND messages.thread_id = $2::VARCHAR AND messages.run_id = $3::VARCHAR) ORDER BY messages.seq DESC
 LIMIT $5 OFFSET 0;

-- runs of a thread, behind a cursor
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM runs
WHERE runs.thread_id = $1::VARCHAR AND runs.seq < (SELECT runs.seq
FROM runs
WHERE runs.id = $2::VARCHAR AND runs.thread_id = $1::VARCHAR) ORDER BY runs.seq DESC
 LIMIT $3 OFFSET 0;

-- steps of a run, behind a cursor
SELECT steps.id, steps.project, steps.run_id, steps.thread_id, steps.assistant_id, steps.created_at, steps.type, steps.turn, steps.position, steps.end_position, steps.status, steps.message_id, steps.last_error, steps.usage, steps.facts, steps.first_token_at, steps.completed_at, steps.failed_at, steps.cancelled_at, steps.expired_at, steps.metadata
FROM steps
WHERE steps.project = $1::VARCHAR AND steps.thread_id = $2::VARCHAR AND steps.run_id = $3::VARCHAR AND steps.seq < (SELECT steps.seq
FROM steps
WHERE steps.id = $4::VARCHAR AND steps.project = $1::VARCHAR AND steps.thread_id = $2::VARCHAR AND steps.run_id = $3::VARCHAR) ORDER BY steps.seq DESC
 LIMIT $5 OFFSET 0;

-- ==== src/clew/store/near.py ====

-- a new table
CREATE TABLE near_1 (store_file BIGINT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, place halfvec(384) NOT NULL);

-- windows of a file
INSERT INTO near_1 (store_file, first, last, place) SELECT $1, first, last, CAST(place AS halfvec) FROM unnest(CAST($2 AS INTEGER[]), CAST($3 AS INTEGER[]), CAST($4 AS TEXT[])) AS rows (first, last, place);

-- by the graph
SELECT store_file, first, last, place <=> CAST(CAST($1 AS TEXT) AS halfvec(384)) AS distance FROM near_1  ORDER BY distance LIMIT $2;

-- by the graph, filtered
SELECT store_file, first, last, place <=> CAST(CAST($1 AS TEXT) AS halfvec(384)) AS distance FROM near_1 WHERE store_file = ANY(CAST($3 AS BIGINT[])) ORDER BY distance LIMIT $2;

-- one by one, filtered
SELECT store_file, first, last, (place <=> CAST(CAST($1 AS TEXT) AS halfvec(384))) + 0 AS distance FROM near_1 WHERE store_file = ANY(CAST($3 AS BIGINT[])) ORDER BY distance LIMIT $2;

-- cosines of chunks
SELECT file, chunk, max(1 - (place <=> CAST(CAST($1 AS TEXT) AS halfvec(384)))) FROM unnest(CAST($2 AS BIGINT[]), CAST($3 AS INTEGER[])) AS hits (file, chunk) JOIN near_1 ON store_file = file AND first <= chunk AND last >= chunk GROUP BY file, chunk;

-- ==== src/clew/store/run_lists.py ====

-- all of a project
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM runs
WHERE runs.project = $1::VARCHAR ORDER BY runs.seq DESC
 LIMIT $2 OFFSET 0;

-- live
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM (SELECT examined.seq AS seq
FROM (SELECT live_and_held.seq AS seq, live_and_held.created_at AS created_at, live_and_held.status AS status, live_and_held.assistant_id AS assistant_id
FROM (SELECT runs.seq AS seq, runs.created_at AS created_at, runs.status AS status, runs.assistant_id AS assistant_id
FROM runs
WHERE coalesce(runs.project, '') = $1::VARCHAR AND held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action') UNION ALL SELECT runs.seq AS seq, runs.created_at AS created_at, runs.status AS status, runs.assistant_id AS assistant_id
FROM runs
WHERE coalesce(runs.project, '') = $1::VARCHAR AND held IS NOT NULL) AS live_and_held ORDER BY coalesce(live_and_held.seq, 0) DESC
 LIMIT 1000 OFFSET 0) AS examined
WHERE examined.status IN ($2, $3, $4, $5) ORDER BY examined.seq DESC
 LIMIT $6 OFFSET 0) AS matched JOIN runs ON runs.seq = matched.seq ORDER BY matched.seq DESC;

-- a mix
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM (SELECT examined.seq AS seq
FROM (SELECT runs.seq AS seq, runs.created_at AS created_at, runs.status AS status, runs.assistant_id AS assistant_id
FROM runs
WHERE runs.project = $1::VARCHAR AND runs.assistant_id = $2::VARCHAR ORDER BY runs.seq DESC
 LIMIT 1000 OFFSET 0) AS examined
WHERE examined.created_at >= $3::BIGINT AND examined.status IN ($4) AND examined.created_at < $5::BIGINT ORDER BY examined.seq DESC
 LIMIT $6 OFFSET 0) AS matched JOIN runs ON runs.seq = matched.seq ORDER BY matched.seq DESC;

-- Every statement of the store, made by: python -m tests.docs.sql_pages

-- ==== src/clew/store/agents.py ====

-- INSERT_AGENT
INSERT INTO agents (id, project, created_at, model, name, description, instructions, tools, tool_resources, metadata, temperature, top_p, response_format, reasoning_effort) VALUES (:id, :project, :created_at, :model, :name, :description, :instructions, :tools, :tool_resources, :metadata, :temperature, :top_p, :response_format, :reasoning_effort);

-- HOLD_AGENT
SELECT agents.seq
FROM agents
WHERE agents.id = :id AND agents.project = :project;

-- SELECT_AGENT
SELECT agents.temperature, agents.top_p, agents.response_format, agents.reasoning_effort, agents.id, agents.project, agents.created_at, agents.model, agents.name, agents.description, agents.instructions, agents.tools, agents.tool_resources, agents.metadata
FROM agents
WHERE agents.id = :id AND agents.project = :project;

-- UPDATE_AGENT
UPDATE agents SET model=:model, name=:name, description=:description, instructions=:instructions, tools=:tools, tool_resources=:tool_resources, metadata=:metadata, temperature=:temperature, top_p=:top_p, response_format=:response_format, reasoning_effort=:reasoning_effort WHERE agents.id = :agent_id AND agents.project = :agent_project;

-- DELETE_AGENT
DELETE FROM agents WHERE agents.id = :id AND agents.project = :project;

-- ==== src/clew/store/blob_parts.py ====

-- INSERT_PART
INSERT INTO blob_parts (blob, part, at, data) VALUES (:blob, :part, :at, :data);

-- SELECT_SEAL
SELECT blob_parts.part
FROM blob_parts
WHERE blob_parts.blob = :blob AND blob_parts.part = 0;

-- SELECT_PART
SELECT blob_parts.data
FROM blob_parts
WHERE blob_parts.blob = :blob AND blob_parts.part = :part;

-- DELETE_PARTS
DELETE FROM blob_parts WHERE blob_parts.blob = :blob;

-- SELECT_BLOBS
SELECT blob_parts.blob, max(blob_parts.at) AS max_1
FROM blob_parts
WHERE blob_parts.blob > :after GROUP BY blob_parts.blob ORDER BY blob_parts.blob
 LIMIT 500 OFFSET 0;

-- ==== src/clew/store/budgets.py ====

-- SELECT_DAY
SELECT usage_by_day.tokens
FROM usage_by_day
WHERE usage_by_day.project = :project AND usage_by_day.day = :day;

-- COUNT_DAY
UPDATE usage_by_day SET tokens=(usage_by_day.tokens + :tokens) WHERE usage_by_day.project = :of_project AND usage_by_day.day = :on_day;

-- BEGIN_DAY
INSERT INTO usage_by_day (project, day, tokens) VALUES (:project, :day, :tokens);

-- ==== src/clew/store/calls.py ====

-- INSERT_CALL
INSERT INTO calls (id, project, created_at, run_id, step_id, turn, "index", name, arguments, kind, state, result, approval, repeatable, attempts, output, detail, model_id, extras, position, begun_at, ended_at, ms) VALUES (:id, :project, :created_at, :run_id, :step_id, :turn, :index, :name, :arguments, :kind, :state, :result, :approval, :repeatable, :attempts, :output, :detail, :model_id, :extras, :position, :begun_at, :ended_at, :ms);

-- UPDATE_CALL
UPDATE calls SET state=:state, result=:result, approval=:approval, repeatable=:repeatable, attempts=:attempts, output=:output, detail=:detail, model_id=:model_id, extras=:extras, position=:position, begun_at=:begun_at, ended_at=:ended_at, ms=:ms WHERE calls.id = :call_id;

-- SELECT_OF_TURNS
SELECT calls.id, calls.project, calls.created_at, calls.run_id, calls.step_id, calls.turn, calls."index", calls.name, calls.arguments, calls.kind, calls.state, calls.result, calls.approval, calls.repeatable, calls.attempts, calls.output, calls.detail, calls.model_id, calls.extras, calls.position, calls.begun_at, calls.ended_at
FROM calls
WHERE calls.run_id = :run_id AND calls.turn BETWEEN :first AND :last ORDER BY calls.turn, calls."index";

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
WHERE vector_stores.embedder < :embedder OR vector_stores.embedder > :embedder;

-- ==== src/clew/store/code.py ====

-- HOLD_SESSION
SELECT code_sessions.session, code_sessions.place
FROM code_sessions
WHERE code_sessions.thread_id = :of;

-- SELECT_SESSION
SELECT code_sessions.session, code_sessions.place
FROM code_sessions
WHERE code_sessions.thread_id = :of;

-- INSERT_SESSION
INSERT INTO code_sessions (thread_id, session, place) VALUES (:thread_id, :session, :place);

-- UPDATE_SESSION
UPDATE code_sessions SET session=:session, place=:place WHERE code_sessions.thread_id = :of;

-- INSERT_MADE
INSERT INTO code_files (thread_id, name, file_id) VALUES (:thread_id, :name, :file_id);

-- SELECT_MADE
SELECT code_files.name, files.id, files.project, files.created_at, files.filename, files.purpose, files.bytes, files.sha256, files.blob
FROM code_files JOIN files ON files.id = code_files.file_id
WHERE code_files.thread_id = :thread_id AND files.project = :project ORDER BY code_files.seq DESC
 LIMIT 1000 OFFSET 0;

-- ==== src/clew/store/due_work.py ====

-- INSERT_WORK
INSERT INTO due_work (kind, id, project, lane, created_at, due, attempts, epoch, last_error, progress, payload) VALUES (:kind, :id, :project, :lane, :created_at, :due, :attempts, :epoch, :last_error, :progress, :payload);

-- SELECT_NEXT_DUE
SELECT (SELECT min(due_work.due) AS min_1
FROM due_work
WHERE due_work.kind = :of_kind AND owner IS NULL) AS anon_1, (SELECT min(due_work.due) AS min_2
FROM due_work
WHERE due_work.kind = :of_kind AND owner IS NULL AND due_work.due > :now) AS anon_2;

-- SELECT_LANES
WITH RECURSIVE lanes(name) AS
(SELECT min(due_work.lane) AS name
FROM due_work
WHERE due_work.kind = :of_kind UNION ALL SELECT (SELECT min(due_work.lane) AS min_2
FROM due_work
WHERE due_work.kind = :of_kind AND due_work.lane > lanes.name) AS anon_3
FROM lanes
WHERE lanes.name IS NOT NULL)
 SELECT lanes.name, (SELECT due_work.project
FROM due_work
WHERE due_work.kind = :of_kind AND due_work.lane = lanes.name ORDER BY due_work.due
 LIMIT 1 OFFSET 0) AS anon_1, (SELECT min(due_work.due) AS min_1
FROM due_work
WHERE due_work.kind = :of_kind AND due_work.lane = lanes.name AND owner IS NULL) AS anon_2
FROM lanes
WHERE lanes.name IS NOT NULL;

-- SELECT_DUE
SELECT due_work.seq, due_work.kind, due_work.id, due_work.project, due_work.lane, due_work.created_at, due_work.due, due_work.attempts, due_work.epoch, due_work.last_error, due_work.progress, due_work.payload
FROM due_work
WHERE due_work.kind = :of_kind AND due_work.lane = :in_lane AND owner IS NULL AND due_work.due <= :now ORDER BY due_work.due, due_work.seq
 LIMIT :limit OFFSET 0;

-- SELECT_OWNED
SELECT due_work.seq, due_work.kind, due_work.id, due_work.project, due_work.lane, due_work.created_at, due_work.due, due_work.attempts, due_work.epoch, due_work.last_error, due_work.progress, due_work.payload, due_work.owner, workers.beats
FROM due_work LEFT OUTER JOIN workers ON workers.id = due_work.owner
WHERE due_work.kind = :of_kind AND owner IS NOT NULL;

-- CLAIM_WORK
UPDATE due_work SET attempts=:attempts, owner=:owner, epoch=(due_work.epoch + 1) WHERE due_work.seq = :work_seq AND due_work.epoch = :seen_epoch;

-- SAVE_PROGRESS
UPDATE due_work SET attempts=:attempts, progress=:progress WHERE due_work.seq = :work_seq AND due_work.epoch = :seen_epoch;

-- HOLD_WORK
SELECT due_work.seq
FROM due_work
WHERE due_work.seq = :work_seq AND due_work.epoch = :seen_epoch;

-- RELEASE_WORK
UPDATE due_work SET attempts=:attempts, owner=NULL, epoch=(due_work.epoch + 1) WHERE due_work.seq = :work_seq AND due_work.epoch = :seen_epoch AND due_work.owner = :seen_owner;

-- POSTPONE_WORK
UPDATE due_work SET due=:next_due, attempts=:attempts, owner=NULL, epoch=(due_work.epoch + 1), last_error=:error, progress=:progress WHERE due_work.seq = :work_seq AND due_work.epoch = :seen_epoch;

-- DELETE_WORK
DELETE FROM due_work WHERE due_work.seq = :work_seq AND due_work.epoch = :seen_epoch;

-- SELECT_BY_ID
SELECT due_work.seq
FROM due_work
WHERE due_work.kind = :of_kind AND due_work.id = :work_id;

-- DELETE_BY_ID
DELETE FROM due_work WHERE due_work.kind = :of_kind AND due_work.id = :work_id;

-- DELETE_LANE
DELETE FROM due_work WHERE due_work.kind = :of_kind AND due_work.lane = :in_lane;

-- ==== src/clew/store/explanations.py ====

-- SELECT_TAKEOVERS
SELECT takeovers.at, takeovers.turn, takeovers.from_worker
FROM takeovers
WHERE takeovers.run_id = :run_id ORDER BY takeovers.seq
 LIMIT :limit OFFSET 0;

-- SELECT_ENDED_AT
SELECT runs.ended_at
FROM runs
WHERE runs.id = :id;

-- SELECT_LIVE_RUN
SELECT runs.id, runs.status
FROM threads JOIN runs ON runs.id = threads.live_run
WHERE threads.id = :thread_id;

-- COUNT_BEFORE
SELECT count(*) AS count_1
FROM runs
WHERE runs.thread_id = :thread_id AND held IS NOT NULL AND runs.held < :place;

-- COUNT_HELD_MESSAGES
SELECT count(*) AS count_1
FROM messages
WHERE messages.thread_id = :thread_id AND messages.held IS NOT NULL;

-- ==== src/clew/store/files.py ====

-- INSERT_FILE
INSERT INTO files (id, project, created_at, filename, purpose, bytes, sha256, blob) VALUES (:id, :project, :created_at, :filename, :purpose, :bytes, :sha256, :blob);

-- SELECT_FILE
SELECT files.id, files.project, files.created_at, files.filename, files.purpose, files.bytes, files.sha256, files.blob
FROM files
WHERE files.id = :id AND files.project = :project;

-- DELETE_FILE
DELETE FROM files WHERE files.id = :id AND files.project = :project;

-- SELECT_NAMES
SELECT id, filename FROM files WHERE project = :project AND id IN (SELECT value FROM json_each(:ids));

-- SELECT_IDS
SELECT id FROM files WHERE project = :project AND id IN (SELECT value FROM json_each(:ids));

-- SUM_BYTES
SELECT coalesce(sum(files.bytes), 0) AS coalesce_1
FROM files
WHERE files.project = :project;

-- HOLD_PROJECT
SELECT projects.name
FROM projects
WHERE projects.name = :project;

-- SELECT_BLOB
SELECT files.id
FROM files
WHERE files.blob = :blob;

-- ==== src/clew/store/full_text.py ====

-- INSERT_WORDS
INSERT INTO chunk_words (rowid, text, store) SELECT seq, text, store FROM chunks WHERE store_file = :store_file AND number >= :from_number AND number < :to_number;

-- DELETE_WORDS
INSERT INTO chunk_words (chunk_words, rowid, text, store) SELECT 'delete', seq, text, store FROM chunks WHERE store_file = :store_file AND number >= :from_number AND number < :to_number;

-- SEARCH_WORDS
SELECT chunks.store_file, chunks.number FROM chunk_words JOIN chunks ON chunks.seq = chunk_words.rowid JOIN store_files ON store_files.seq = chunks.store_file AND store_files.status = 'completed' WHERE chunk_words MATCH :fts5 AND chunks.store = :store ORDER BY bm25(chunk_words, 1.0, 0.0), chunks.seq LIMIT :most;

-- ==== src/clew/store/health.py ====

-- PING
SELECT 1;

-- TOUCH
UPDATE alembic_version SET version_num = version_num;

-- ==== src/clew/store/idempotency.py ====

-- INSERT_ANSWER
INSERT INTO answers (project, "key", fingerprint, created_at, body) VALUES (:project, :key, :fingerprint, :created_at, :body);

-- SELECT_ANSWER
SELECT answers.project, answers."key", answers.fingerprint, answers.created_at, answers.body
FROM answers
WHERE answers.project = :project AND answers."key" = :key;

-- DELETE_ANSWER
DELETE FROM answers WHERE answers.project = :project AND answers."key" = :key;

-- DELETE_OLDER
DELETE FROM answers WHERE answers.created_at < :before;

-- ==== src/clew/store/installation.py ====

-- INSERT_FACT
INSERT INTO installation (name, value) VALUES (:name, :value);

-- SELECT_FACT
SELECT installation.value
FROM installation
WHERE installation.name = :name;

-- UPDATE_FACT
UPDATE installation SET value=:now WHERE installation.name = :of;

-- ==== src/clew/store/keys.py ====

-- INSERT_KEY
INSERT INTO keys (digest, project, name, role, created_at, expires_at) VALUES (:digest, :project, :name, :role, :created_at, :expires_at);

-- SELECT_KEYS
SELECT keys.digest, keys.project, keys.name, keys.role, keys.created_at, keys.expires_at
FROM keys ORDER BY keys.project, keys.name, keys.created_at;

-- COUNT_NAMED
SELECT count(*) AS count_1, max(keys.role) AS max_1
FROM keys
WHERE keys.project = :of_project AND keys.name = :named AND (keys.expires_at IS NULL OR keys.expires_at > :now);

-- DELETE_NAMED
DELETE FROM keys WHERE keys.project = :of_project AND keys.name = :named;

-- DELETE_EXPIRED
DELETE FROM keys WHERE keys.project = :of_project AND keys.name = :named AND keys.expires_at <= :now;

-- EXPIRE_NAMED
UPDATE keys SET expires_at=:until WHERE keys.project = :of_project AND keys.name = :named AND (keys.expires_at IS NULL OR keys.expires_at > :latest);

-- ==== src/clew/store/line.py ====

-- LAST_PLACES[1]
SELECT max(messages.held) AS max_1
FROM messages
WHERE messages.thread_id = :thread_id AND held IS NOT NULL;

-- LAST_PLACES[2]
SELECT max(runs.held) AS max_1
FROM runs
WHERE runs.thread_id = :thread_id AND held IS NOT NULL;

-- SELECT_NEXT_RUN
SELECT runs.id, runs.held
FROM runs
WHERE runs.thread_id = :thread_id AND held IS NOT NULL ORDER BY runs.held
 LIMIT 1 OFFSET 0;

-- SELECT_HELD_MESSAGES
SELECT messages.id, messages.held
FROM messages
WHERE messages.thread_id = :thread_id AND held IS NOT NULL ORDER BY messages.held;

-- RELEASE_MESSAGE
UPDATE messages SET seq=(SELECT max(seq) + 1 FROM messages), held=NULL WHERE messages.id = :message_id;

-- RELEASE_RUN
UPDATE runs SET expires_at=((runs.expires_at - runs.created_at) + :now), version=(runs.version + 1), held=NULL WHERE runs.id = :run_id;

-- LET_IN
UPDATE threads SET live_run=:run_id, waiting=(threads.waiting - :let_in) WHERE threads.id = :thread_id;

-- ==== src/clew/store/messages.py ====

-- INSERT_MESSAGE
INSERT INTO messages (id, project, created_at, thread_id, role, content, assistant_id, run_id, status, incomplete_reason, completed_at, incomplete_at, attachments, metadata, held) VALUES (:id, :project, :created_at, :thread_id, :role, :content, :assistant_id, :run_id, :status, :incomplete_reason, :completed_at, :incomplete_at, :attachments, :metadata, :held);

-- SELECT_MESSAGE
SELECT messages.id, messages.project, messages.thread_id, messages.created_at, messages.role, messages.content, messages.assistant_id, messages.run_id, messages.status, messages.incomplete_reason, messages.completed_at, messages.incomplete_at, messages.attachments, messages.metadata, messages.held
FROM messages
WHERE messages.id = :id AND messages.thread_id = :thread_id AND messages.project = :project;

-- UPDATE_METADATA
UPDATE messages SET metadata=:new_metadata WHERE messages.id = :id AND messages.thread_id = :thread_id AND messages.project = :project;

-- DELETE_MESSAGE
DELETE FROM messages WHERE messages.id = :id AND messages.thread_id = :thread_id AND messages.project = :project;

-- HOLD_PARENT
SELECT threads.seq
FROM threads
WHERE threads.id = :thread_id;

-- COUNT_UP
UPDATE threads SET message_count=(threads.message_count + 1), waiting=(threads.waiting + :in_line) WHERE threads.id = :thread_id AND threads.project = :project AND threads.message_count < 100000;

-- COUNT_UP_IF_FREE
UPDATE threads SET message_count=(threads.message_count + 1) WHERE threads.id = :thread_id AND threads.project = :project AND threads.message_count < 100000 AND threads.live_run IS NULL;

-- COUNT_DOWN
UPDATE threads SET message_count=(threads.message_count - 1) WHERE threads.id = :thread_id;

-- SELECT_NEWEST
SELECT messages.id, messages.project, messages.thread_id, messages.created_at, messages.role, messages.content, messages.assistant_id, messages.run_id, messages.status, messages.incomplete_reason, messages.completed_at, messages.incomplete_at, messages.attachments, messages.metadata, messages.held
FROM messages
WHERE messages.thread_id = :thread_id AND messages.held IS NULL AND (messages.run_id IS NULL OR messages.run_id != :except_run) ORDER BY messages.seq DESC
 LIMIT :limit OFFSET 0;

-- SELECT_SINCE
SELECT (SELECT threads.message_count
FROM threads
WHERE threads.id = :thread_id) - (SELECT count(*) AS count_1
FROM messages AS messages_1
WHERE messages_1.thread_id = :thread_id AND messages_1.held IS NOT NULL) AS anon_1, messages.seq, messages.id, messages.project, messages.thread_id, messages.created_at, messages.role, messages.content, messages.assistant_id, messages.run_id, messages.status, messages.incomplete_reason, messages.completed_at, messages.incomplete_at, messages.attachments, messages.metadata, messages.held
FROM messages
WHERE messages.thread_id = :thread_id AND messages.held IS NULL AND messages.seq >= :seq ORDER BY messages.seq
 LIMIT :limit OFFSET 0;

-- SELECT_OF_RUN
SELECT messages.id, messages.project, messages.thread_id, messages.created_at, messages.role, messages.content, messages.assistant_id, messages.run_id, messages.status, messages.incomplete_reason, messages.completed_at, messages.incomplete_at, messages.attachments, messages.metadata, messages.held
FROM messages
WHERE messages.run_id = :run_id ORDER BY messages.seq;

-- ==== src/clew/store/metrics.py ====

-- COUNT_RUNS
SELECT runs.status, runs.code, runs.model, count(*) AS count_1, sum(runs.prompt_tokens) AS sum_1, sum(runs.completion_tokens) AS sum_2, sum(runs.cached_tokens) AS sum_3, sum(runs.reasoning_tokens) AS sum_4, sum(runs.cost) AS sum_5
FROM runs
WHERE runs.project = :project AND ended_at IS NOT NULL AND runs.ended_at BETWEEN :since AND :until GROUP BY runs.status, runs.code, runs.model;

-- COUNT_QUEUE
SELECT runs.queue_ms, count(*) AS count_1
FROM runs
WHERE runs.project = :project AND ended_at IS NOT NULL AND runs.ended_at BETWEEN :since AND :until GROUP BY runs.queue_ms ORDER BY runs.queue_ms;

-- COUNT_FIRST_TOKEN
SELECT runs.first_token_ms, count(*) AS count_1
FROM runs
WHERE runs.project = :project AND ended_at IS NOT NULL AND runs.ended_at BETWEEN :since AND :until GROUP BY runs.first_token_ms ORDER BY runs.first_token_ms;

-- COUNT_TOTAL
SELECT runs.total_ms, count(*) AS count_1
FROM runs
WHERE runs.project = :project AND ended_at IS NOT NULL AND runs.ended_at BETWEEN :since AND :until GROUP BY runs.total_ms ORDER BY runs.total_ms;

-- COUNT_TOKENS
SELECT runs.model, runs.prompt_tokens + runs.completion_tokens AS anon_1, count(*) AS count_1
FROM runs
WHERE runs.project = :project AND ended_at IS NOT NULL AND runs.ended_at BETWEEN :since AND :until GROUP BY runs.model, runs.prompt_tokens + runs.completion_tokens ORDER BY runs.model, runs.prompt_tokens + runs.completion_tokens;

-- COUNT_LIVE
SELECT runs.status, count(*) AS count_1
FROM runs
WHERE coalesce(runs.project, '') = :project AND held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action') GROUP BY runs.status;

-- COUNT_CALLS
SELECT calls.name, calls.result, calls.ms, count(*) AS count_1
FROM calls
WHERE calls.project = :project AND ended_at IS NOT NULL AND calls.ended_at BETWEEN :since AND :until GROUP BY calls.name, calls.result, calls.ms ORDER BY calls.name, calls.ms;

-- ==== src/clew/store/projects.py ====

-- INSERT_PROJECT
INSERT INTO projects (name, created_at, limits) VALUES (:name, :created_at, :limits);

-- SELECT_PROJECTS
SELECT projects.name, projects.created_at, projects.limits
FROM projects ORDER BY projects.name;

-- SELECT_PROJECT
SELECT projects.name, projects.created_at, projects.limits
FROM projects
WHERE projects.name = :named;

-- UPDATE_LIMITS
UPDATE projects SET limits=:new_limits WHERE projects.name = :named;

-- DELETE_PROJECT
DELETE FROM projects WHERE projects.name = :named;

-- SELECT_WAITING
SELECT runs.id
FROM runs
WHERE runs.project = :project AND waits_for = 'share' ORDER BY runs.seq
 LIMIT :limit OFFSET 0;

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
UPDATE runs SET version=(runs.version + 1), waits_for='share' WHERE runs.id = :id AND runs.version = :seen_version AND runs.status = 'queued';

-- COUNT_THREADS
SELECT count(*) AS count_1, sum(threads.message_count) AS sum_1
FROM threads
WHERE threads.project = :project AND NOT hidden;

-- COUNT_LIVE
SELECT count(*) AS count_1
FROM runs
WHERE coalesce(runs.project, '') = :project AND held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action');

-- COUNTS[1]
SELECT count(*) AS count_1
FROM agents
WHERE agents.project = :project;

-- COUNTS[2]
SELECT count(*) AS count_1
FROM webhooks
WHERE webhooks.project = :project;

-- COUNTS[3]
SELECT count(*) AS count_1
FROM keys
WHERE keys.project = :project;

-- COUNTS[4]
SELECT count(*) AS count_1
FROM files
WHERE files.project = :project;

-- SELECT_THREADS
SELECT threads.id
FROM threads
WHERE threads.project = :project AND NOT hidden
 LIMIT :limit OFFSET 0;

-- SELECT_HIDDEN_THREADS
SELECT threads.id
FROM threads
WHERE threads.project = :project AND threads.hidden = 1
 LIMIT :limit OFFSET 0;

-- DELETE_OWNED[1]
DELETE FROM webhooks WHERE webhooks.project = :project;

-- DELETE_OWNED[2]
DELETE FROM agents WHERE agents.project = :project;

-- DELETE_OWNED[3]
DELETE FROM files WHERE files.project = :project;

-- DELETE_OWNED[4]
DELETE FROM answers WHERE answers.project = :project;

-- DELETE_OWNED[5]
DELETE FROM usage_by_day WHERE usage_by_day.project = :project;

-- DELETE_OWNED[6]
DELETE FROM due_work WHERE due_work.project = :project AND due_work.kind != 'purge';

-- DELETE_KEYS
DELETE FROM keys WHERE keys.project = :project;

-- ==== src/clew/store/reindexing.py ====

-- SELECT_LACKING
SELECT store_files.seq
FROM store_files
WHERE store_files.store_id = :store_id AND store_files.status = 'completed' AND store_files.seq > :after AND NOT (EXISTS (SELECT vectors.store_file
FROM vectors
WHERE vectors.store_file = store_files.seq AND vectors.embedder = :by)) ORDER BY store_files.seq
 LIMIT :limit OFFSET 0;

-- COUNT_LACKING
SELECT count(*) AS count_1
FROM store_files
WHERE store_files.store_id = :store_id AND store_files.status = 'completed' AND NOT (EXISTS (SELECT vectors.store_file
FROM vectors
WHERE vectors.store_file = store_files.seq AND vectors.embedder = :by));

-- SELECT_OUTDATED
SELECT store_files.seq
FROM store_files
WHERE store_files.store_id = :store_id AND store_files.seq > :after AND (EXISTS (SELECT vectors.store_file
FROM vectors
WHERE vectors.store_file = store_files.seq AND vectors.embedder != :by)) ORDER BY store_files.seq
 LIMIT :limit OFFSET 0;

-- DELETE_OUTDATED
DELETE FROM vectors WHERE vectors.store_file = :of_file AND vectors.embedder != :by;

-- IS_COMPLETED
SELECT store_files.seq
FROM store_files
WHERE store_files.seq = :of_file AND store_files.status = 'completed';

-- SELECT_OUTDATED_BYTES
SELECT sum(vectors.dimensions * vectors.windows) AS sum_1
FROM vectors
WHERE vectors.store_file = :of_file AND vectors.embedder != :by;

-- ADD_FILE_BYTES
UPDATE store_files SET usage_bytes=(store_files.usage_bytes + :more_bytes) WHERE store_files.seq = :of_file;

-- ADD_STORE_BYTES
UPDATE vector_stores SET usage_bytes=(vector_stores.usage_bytes + :more_bytes) WHERE vector_stores.id = :of_store;

-- SAVE_STATE
UPDATE vector_stores SET reindexing=:state WHERE vector_stores.id = :of_store;

-- SWITCH_STORE
UPDATE vector_stores SET embedder=:by, version=(vector_stores.version + 1), reindexing=NULL WHERE vector_stores.id = :of_store;

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
WHERE threads.project = :project AND NOT hidden AND threads.seq > :after ORDER BY threads.seq
 LIMIT 200 OFFSET 0;

-- ==== src/clew/store/run_lists.py ====

-- SELECT_PLACE
SELECT runs.seq
FROM runs
WHERE runs.id = :id AND runs.project = :project;

-- SELECT_ID
SELECT runs.id
FROM runs
WHERE runs.seq = :seq;

-- SELECT_LAST_BEFORE
SELECT runs.id
FROM runs
WHERE runs.project = :project AND runs.seq <= :seq ORDER BY runs.seq DESC
 LIMIT 1 OFFSET 0;

-- SELECT_FIRST_BEHIND
SELECT runs.id
FROM runs
WHERE runs.project = :project AND runs.seq >= :seq ORDER BY runs.seq ASC
 LIMIT 1 OFFSET 0;

-- SELECT_NEAR
SELECT runs.seq, runs.created_at
FROM runs
WHERE runs.seq <= :seq ORDER BY runs.seq DESC
 LIMIT 1 OFFSET 0;

-- SELECT_NEWEST
SELECT max(runs.seq) AS max_1
FROM runs;

-- SELECT_IS_THERE
SELECT threads.seq
FROM threads
WHERE threads.id = :thread_id AND threads.project = :project;

-- SELECT_LIVE
SELECT live_and_held.id, live_and_held.thread_id, live_and_held.assistant_id, live_and_held.status, live_and_held.version, live_and_held.at
FROM (SELECT runs.seq AS seq, runs.id AS id, runs.thread_id AS thread_id, runs.assistant_id AS assistant_id, runs.status AS status, runs.version AS version, coalesce(runs.started_at, runs.created_at) AS at
FROM runs
WHERE coalesce(runs.project, '') = :project AND held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action') UNION ALL SELECT runs.seq AS seq, runs.id AS id, runs.thread_id AS thread_id, runs.assistant_id AS assistant_id, runs.status AS status, runs.version AS version, coalesce(runs.started_at, runs.created_at) AS at
FROM runs
WHERE coalesce(runs.project, '') = :project AND held IS NOT NULL) AS live_and_held ORDER BY live_and_held.seq;

-- ==== src/clew/store/runs.py ====

-- SELECT_GROUND
SELECT threads.live_run, threads.token_budget, threads.tokens_used, threads.tool_resources, agents.temperature, agents.top_p, agents.response_format, agents.reasoning_effort, agents.id, agents.project, agents.created_at, agents.model, agents.name, agents.description, agents.instructions, agents.tools, agents.tool_resources AS tool_resources_1, agents.metadata
FROM threads LEFT OUTER JOIN agents ON agents.id = :agent_id AND agents.project = threads.project
WHERE threads.id = :id AND threads.project = :project;

-- INSERT_RUN
INSERT INTO runs (id, project, created_at, thread_id, assistant_id, expires_at, config, status, started_at, completed_at, failed_at, cancelled_at, last_error, incomplete_reason, usage, turns, metadata, epoch, version, position, held, worker, begun_at, spoke_at, claimed_at, attempts, open_step, waits_for, due, waits, retrying_since, lost_turns, cost) VALUES (:id, :project, :created_at, :thread_id, :assistant_id, :expires_at, :config, :status, :started_at, :completed_at, :failed_at, :cancelled_at, :last_error, :incomplete_reason, :usage, :turns, :metadata, :epoch, :version, :position, :held, :worker, :begun_at, :spoke_at, :claimed_at, :attempts, :open_step, :waits_for, :due, :waits, :retrying_since, :lost_turns, :cost);

-- SELECT_RUN
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM runs
WHERE runs.id = :id AND runs.thread_id = :thread_id AND runs.project = :project;

-- SELECT_BY_ID
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM runs
WHERE runs.id = :id;

-- UPDATE_RUN
UPDATE runs SET status=:status, started_at=:started_at, completed_at=:completed_at, failed_at=:failed_at, cancelled_at=:cancelled_at, last_error=:last_error, incomplete_reason=:incomplete_reason, usage=:usage, turns=:turns, epoch=:epoch, version=(runs.version + 1), position=:position, held=:held, worker=:worker, begun_at=:begun_at, spoke_at=:spoke_at, claimed_at=:claimed_at, attempts=:attempts, open_step=:open_step, waits_for=:waits_for, due=:due, waits=:waits, retrying_since=:retrying_since, lost_turns=:lost_turns, cost=:cost WHERE runs.id = :id AND runs.epoch = :old_epoch AND runs.version = :old_version;

-- END_RUN
UPDATE runs SET status=:status, started_at=:started_at, completed_at=:completed_at, failed_at=:failed_at, cancelled_at=:cancelled_at, last_error=:last_error, incomplete_reason=:incomplete_reason, usage=:usage, turns=:turns, epoch=:epoch, version=(runs.version + 1), position=:position, held=:held, worker=:worker, begun_at=:begun_at, spoke_at=:spoke_at, ended_at=:ended_at, code=:code, model=:model, queue_ms=:queue_ms, first_token_ms=:first_token_ms, total_ms=:total_ms, prompt_tokens=:prompt_tokens, completion_tokens=:completion_tokens, cached_tokens=:cached_tokens, claimed_at=:claimed_at, attempts=:attempts, open_step=:open_step, waits_for=:waits_for, due=:due, waits=:waits, retrying_since=:retrying_since, lost_turns=:lost_turns, cost=:cost, reasoning_tokens=:reasoning_tokens WHERE runs.id = :id AND runs.epoch = :old_epoch AND runs.version = :old_version;

-- HOLD_BY_ID
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM runs
WHERE runs.id = :id;

-- HOLD_THREAD_OF_RUN
SELECT threads.seq
FROM threads
WHERE threads.id = (SELECT runs.thread_id
FROM runs
WHERE runs.id = :id);

-- HOLD_RUN
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM runs
WHERE runs.id = :id AND runs.thread_id = :thread_id AND runs.project = :project;

-- CLAIM_RUN
UPDATE runs SET epoch=:new_epoch, version=:new_version, position=:new_position, worker=:new_worker, claimed_at=:new_claimed_at, attempts=:new_attempts, waits_for=:new_waits_for, due=:new_due WHERE runs.id = :id;

-- INSERT_TAKEOVER
INSERT INTO takeovers (run_id, at, epoch, turn, from_worker, to_worker) VALUES (:run_id, :at, :epoch, :turn, :from_worker, :to_worker);

-- DISOWN_RUN
UPDATE runs SET worker=NULL WHERE runs.id = :id AND runs.epoch = :epoch AND held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action');

-- UPDATE_METADATA
UPDATE runs SET metadata=:new_metadata WHERE runs.id = :id AND runs.thread_id = :thread_id AND runs.project = :project;

-- SELECT_DUE
SELECT runs.id
FROM runs
WHERE held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action') AND runs.expires_at <= :now;

-- SELECT_NEXT_DUE
SELECT min(runs.expires_at) AS min_1, min(runs.due) AS min_2
FROM runs
WHERE held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action');

-- SELECT_UNFINISHED
SELECT runs.id, runs.version, runs.status, runs.worker, workers.beats, runs.attempts, runs.claimed_at, runs.waits_for, runs.project
FROM runs LEFT OUTER JOIN workers ON workers.id = runs.worker
WHERE held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action') AND (runs.waits_for IS NULL OR runs.due <= :now) ORDER BY runs.expires_at;

-- ==== src/clew/store/steps.py ====

-- INSERT_STEP
INSERT INTO steps (id, project, created_at, thread_id, run_id, assistant_id, type, turn, position, status, message_id, last_error, usage, first_token_at, completed_at, failed_at, cancelled_at, expired_at, metadata, end_position, facts) VALUES (:id, :project, :created_at, :thread_id, :run_id, :assistant_id, :type, :turn, :position, :status, :message_id, :last_error, :usage, :first_token_at, :completed_at, :failed_at, :cancelled_at, :expired_at, :metadata, :end_position, :facts);

-- SELECT_STEP
SELECT steps.id, steps.project, steps.run_id, steps.thread_id, steps.assistant_id, steps.created_at, steps.type, steps.turn, steps.position, steps.end_position, steps.status, steps.message_id, steps.last_error, steps.usage, steps.facts, steps.first_token_at, steps.completed_at, steps.failed_at, steps.cancelled_at, steps.expired_at, steps.metadata
FROM steps
WHERE steps.id = :id AND steps.run_id = :run_id AND steps.thread_id = :thread_id AND steps.project = :project;

-- SELECT_BY_ID
SELECT steps.id, steps.project, steps.run_id, steps.thread_id, steps.assistant_id, steps.created_at, steps.type, steps.turn, steps.position, steps.end_position, steps.status, steps.message_id, steps.last_error, steps.usage, steps.facts, steps.first_token_at, steps.completed_at, steps.failed_at, steps.cancelled_at, steps.expired_at, steps.metadata
FROM steps
WHERE steps.id = :id;

-- SELECT_OF_RUN
SELECT steps.id, steps.project, steps.run_id, steps.thread_id, steps.assistant_id, steps.created_at, steps.type, steps.turn, steps.position, steps.end_position, steps.status, steps.message_id, steps.last_error, steps.usage, steps.facts, steps.first_token_at, steps.completed_at, steps.failed_at, steps.cancelled_at, steps.expired_at, steps.metadata
FROM steps
WHERE steps.run_id = :run_id ORDER BY steps.seq;

-- SELECT_SEVERAL
SELECT steps.id, steps.project, steps.run_id, steps.thread_id, steps.assistant_id, steps.created_at, steps.type, steps.turn, steps.position, steps.end_position, steps.status, steps.message_id, steps.last_error, steps.usage, steps.facts, steps.first_token_at, steps.completed_at, steps.failed_at, steps.cancelled_at, steps.expired_at, steps.metadata
FROM steps
WHERE steps.id IN (:step_0, :step_1, :step_2, :step_3, :step_4, :step_5, :step_6, :step_7, :step_8, :step_9, :step_10, :step_11, :step_12, :step_13, :step_14, :step_15, :step_16, :step_17, :step_18, :step_19) ORDER BY steps.seq;

-- UPDATE_STEP
UPDATE steps SET status=:status, last_error=:last_error, usage=:usage, completed_at=:completed_at, failed_at=:failed_at, cancelled_at=:cancelled_at, expired_at=:expired_at, end_position=:end_position WHERE steps.id = :step_id;

-- ==== src/clew/store/store_files.py ====

-- INSERT_FILES
INSERT INTO store_files (id, filename, attributes, chunking, project, created_at, store_id, status, usage_bytes, batch_id) SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]'), :project, :created_at, :store_id, 'in_progress', 0, :batch_id FROM json_each(:rows) ORDER BY key;

-- INSERT_INGESTIONS
INSERT INTO due_work (kind, id, project, lane, created_at, due, attempts, epoch) SELECT 'ingestion', :store_id || '/' || json_extract(value, '$[0]'), :project, :store_id, :created_at, :created_at, 0, 0 FROM json_each(:rows) ORDER BY key;

-- SELECT_FILE
SELECT store_files.seq, store_files.id, store_files.project, store_files.created_at, store_files.store_id, store_files.filename, store_files.status, store_files.last_error, store_files.attributes, store_files.chunking, store_files.usage_bytes, store_files.batch_id
FROM store_files
WHERE store_files.store_id = :store_id AND store_files.id = :id;

-- SELECT_SOME
SELECT seq, id, project, created_at, store_id, filename, status, last_error, attributes, chunking, usage_bytes, batch_id FROM store_files WHERE store_id = :store_id AND id IN (SELECT value FROM json_each(:ids));

-- SELECT_OF_FILE
SELECT store_files.seq, store_files.id, store_files.project, store_files.created_at, store_files.store_id, store_files.filename, store_files.status, store_files.last_error, store_files.attributes, store_files.chunking, store_files.usage_bytes, store_files.batch_id
FROM store_files
WHERE store_files.id = :file_id;

-- SELECT_OF_STORE
SELECT store_files.seq, store_files.id, store_files.project, store_files.created_at, store_files.store_id, store_files.filename, store_files.status, store_files.last_error, store_files.attributes, store_files.chunking, store_files.usage_bytes, store_files.batch_id
FROM store_files
WHERE store_files.store_id = :store_id;

-- SELECT_OF_BATCH
SELECT store_files.seq, store_files.id, store_files.project, store_files.created_at, store_files.store_id, store_files.filename, store_files.status, store_files.last_error, store_files.attributes, store_files.chunking, store_files.usage_bytes, store_files.batch_id
FROM store_files
WHERE store_files.batch_id = :batch_id AND store_files.status = 'in_progress';

-- SELECT_COMPLETED
SELECT store_files.seq, store_files.id, store_files.filename, store_files.attributes
FROM store_files
WHERE store_files.store_id = :store_id AND store_files.status = 'completed';

-- SETTLE_FILE
UPDATE store_files SET status=:new_status, last_error=:error, usage_bytes=:bytes_used WHERE store_files.seq = :of_file AND store_files.status = 'in_progress';

-- SAVE_ATTRIBUTES
UPDATE store_files SET attributes=:new_attributes WHERE store_files.seq = :of_file;

-- DELETE_FILE
DELETE FROM store_files WHERE store_files.seq = :of_file;

-- SELECT_OF_PROJECT
SELECT store_files.seq
FROM store_files
WHERE store_files.project = :of_project;

-- DELETE_OF_PROJECT[1]
DELETE FROM store_files WHERE store_files.project = :of_project;

-- DELETE_OF_PROJECT[2]
DELETE FROM file_batches WHERE file_batches.project = :of_project;

-- DELETE_OF_PROJECT[3]
DELETE FROM vector_stores WHERE vector_stores.project = :of_project;

-- DELETE_OF_STORE
DELETE FROM store_files WHERE store_files.store_id = :of_store;

-- INSERT_CHUNK
INSERT INTO chunks (store, store_file, number, text, tokens, page, first_line, last_line) VALUES (:store, :store_file, :number, :text, :tokens, :page, :first_line, :last_line);

-- SELECT_CHUNK
SELECT chunks.store, chunks.store_file, chunks.number, chunks.text, chunks.tokens, chunks.page, chunks.first_line, chunks.last_line
FROM chunks
WHERE chunks.store_file = :of_file AND chunks.number = :number;

-- SELECT_CHUNKS
SELECT chunks.store, chunks.store_file, chunks.number, chunks.text, chunks.tokens, chunks.page, chunks.first_line, chunks.last_line
FROM chunks
WHERE chunks.store_file = :of_file AND chunks.number >= :from_number ORDER BY chunks.number
 LIMIT :limit OFFSET 0;

-- SELECT_FIRST_AND_LAST
SELECT min(chunks.number) AS min_1, max(chunks.number) AS max_1
FROM chunks
WHERE chunks.store_file = :of_file;

-- DELETE_CHUNKS
DELETE FROM chunks WHERE chunks.store_file = :of_file AND chunks.number >= :from_number AND chunks.number < :to_number;

-- INSERT_VECTORS
INSERT INTO vectors (store_file, embedder, dimensions, windows, ranges, data) VALUES (:store_file, :embedder, :dimensions, :windows, :ranges, :data);

-- SELECT_VECTORS
SELECT vectors.dimensions, vectors.ranges, vectors.data
FROM vectors
WHERE vectors.store_file = :of_file AND vectors.embedder = :by;

-- DELETE_VECTORS
DELETE FROM vectors WHERE vectors.store_file = :of_file;

-- ==== src/clew/store/threads.py ====

-- INSERT_THREAD
INSERT INTO threads (id, project, created_at, metadata, tool_resources, token_budget, tokens_used, message_count, live_run, hidden, begins_in, begins_after) VALUES (:id, :project, :created_at, :metadata, :tool_resources, :token_budget, :tokens_used, :message_count, :live_run, :hidden, :begins_in, :begins_after);

-- SELECT_THREAD
SELECT threads.id, threads.project, threads.created_at, threads.metadata, threads.tool_resources, threads.token_budget, threads.tokens_used, threads.hidden, threads.begins_in, threads.begins_after
FROM threads
WHERE threads.id = :id AND threads.project = :project;

-- HOLD_THREAD
SELECT threads.seq
FROM threads
WHERE threads.id = :id AND threads.project = :project;

-- HOLD_LOCK
SELECT threads.live_run, threads.token_budget, threads.tokens_used
FROM threads
WHERE threads.id = :id AND threads.project = :project;

-- TAKE
UPDATE threads SET live_run=:run_id WHERE threads.id = :thread_id AND threads.live_run IS NULL AND threads.tokens_used = coalesce(:tokens_used, threads.tokens_used);

-- JOIN_LINE
UPDATE threads SET waiting=(threads.waiting + 1) WHERE threads.id = :thread_id;

-- HOLD_FOR_RUN
SELECT threads.live_run, threads.waiting, EXISTS (SELECT *
FROM webhooks
WHERE webhooks.project = threads.project AND webhooks.disabled_at IS NULL) AS anon_1
FROM threads
WHERE threads.id = :thread_id;

-- HOLD_WITHOUT_LINE
SELECT threads.live_run, threads.waiting, EXISTS (SELECT *
FROM webhooks
WHERE webhooks.project = threads.project AND webhooks.disabled_at IS NULL) AS anon_1
FROM threads
WHERE threads.id = :thread_id AND threads.waiting = 0;

-- COUNT
UPDATE threads SET tokens_used=(threads.tokens_used + :tokens), message_count=(threads.message_count + :messages), live_run=nullif(threads.live_run, :ended), waiting=(threads.waiting - :left_line) WHERE threads.id = :thread_id;

-- UPDATE_THREAD
UPDATE threads SET metadata=:metadata, tool_resources=:tool_resources, token_budget=:token_budget WHERE threads.id = :thread_id AND threads.project = :thread_project;

-- DELETE_THREAD
DELETE FROM threads WHERE threads.id = :id AND threads.project = :project;

-- INSERT_TAG
INSERT INTO thread_tags (thread_seq, "key", value, project) VALUES ((SELECT threads.seq
FROM threads
WHERE threads.id = :thread_id), :key, :value, :project);

-- DELETE_TAGS
DELETE FROM thread_tags WHERE thread_tags.thread_seq = (SELECT threads.seq
FROM threads
WHERE threads.id = :thread_id);

-- SELECT_NEWEST_MESSAGE
SELECT messages.created_at
FROM messages
WHERE messages.thread_id = :thread_id ORDER BY messages.seq DESC
 LIMIT 1 OFFSET 0;

-- SELECT_NEWEST_RUN
SELECT max(runs.created_at) AS max_1, max(runs.ended_at) AS max_2
FROM runs
WHERE runs.thread_id = :thread_id;

-- DELETE_CHILDREN[1]
DELETE FROM steps WHERE steps.thread_id = :thread_id;

-- DELETE_CHILDREN[2]
DELETE FROM messages WHERE messages.thread_id = :thread_id;

-- DELETE_CHILDREN[3]
DELETE FROM runs WHERE runs.thread_id = :thread_id;

-- ==== src/clew/store/vector_stores.py ====

-- INSERT_STORE
INSERT INTO vector_stores (id, project, created_at, name, metadata, expires_days, last_active_at, embedder, version, usage_bytes, in_progress, completed, failed, cancelled, reindexing) VALUES (:id, :project, :created_at, :name, :metadata, :expires_days, :last_active_at, :embedder, :version, :usage_bytes, :in_progress, :completed, :failed, :cancelled, :reindexing);

-- SELECT_STORE
SELECT vector_stores.id, vector_stores.project, vector_stores.created_at, vector_stores.name, vector_stores.metadata, vector_stores.expires_days, vector_stores.last_active_at, vector_stores.embedder, vector_stores.version, vector_stores.usage_bytes, vector_stores.reindexing, vector_stores.in_progress, vector_stores.completed, vector_stores.failed, vector_stores.cancelled
FROM vector_stores
WHERE vector_stores.id = :id AND vector_stores.project = :project;

-- HOLD_STORE
SELECT vector_stores.id, vector_stores.project, vector_stores.created_at, vector_stores.name, vector_stores.metadata, vector_stores.expires_days, vector_stores.last_active_at, vector_stores.embedder, vector_stores.version, vector_stores.usage_bytes, vector_stores.reindexing, vector_stores.in_progress, vector_stores.completed, vector_stores.failed, vector_stores.cancelled
FROM vector_stores
WHERE vector_stores.id = :id AND vector_stores.project = :project;

-- DELETE_STORE
DELETE FROM vector_stores WHERE vector_stores.id = :id AND vector_stores.project = :project;

-- UPDATE_STORE
UPDATE vector_stores SET name=:name, metadata=:metadata, expires_days=:expires_days, last_active_at=:last_active_at WHERE vector_stores.id = :of_store;

-- TOUCH_STORE
UPDATE vector_stores SET last_active_at=:at WHERE vector_stores.id = :of_store;

-- COUNT_STORE
UPDATE vector_stores SET version=(vector_stores.version + 1), usage_bytes=(vector_stores.usage_bytes + :more_bytes), in_progress=(vector_stores.in_progress + :more_in_progress), completed=(vector_stores.completed + :more_completed), failed=(vector_stores.failed + :more_failed), cancelled=(vector_stores.cancelled + :more_cancelled) WHERE vector_stores.id = :of_store;

-- INSERT_BATCH
INSERT INTO file_batches (id, project, created_at, store_id, cancelled_at, in_progress, completed, failed, cancelled) VALUES (:id, :project, :created_at, :store_id, :cancelled_at, :in_progress, :completed, :failed, :cancelled);

-- SELECT_BATCH
SELECT file_batches.id, file_batches.project, file_batches.created_at, file_batches.store_id, file_batches.cancelled_at, file_batches.in_progress, file_batches.completed, file_batches.failed, file_batches.cancelled
FROM file_batches
WHERE file_batches.id = :id AND file_batches.project = :project AND file_batches.store_id = :store_id;

-- DELETE_BATCHES
DELETE FROM file_batches WHERE file_batches.store_id = :of_store;

-- CANCEL_BATCH
UPDATE file_batches SET cancelled_at=:at WHERE file_batches.id = :of_batch;

-- COUNT_BATCH
UPDATE file_batches SET in_progress=(file_batches.in_progress + :more_in_progress), completed=(file_batches.completed + :more_completed), failed=(file_batches.failed + :more_failed), cancelled=(file_batches.cancelled + :more_cancelled) WHERE file_batches.id = :of_batch;

-- SELECT_WAITING
SELECT runs.id
FROM runs
WHERE coalesce(runs.project, '') = :of_project AND waits_for = 'files' AND runs.config LIKE :naming;

-- WAKE_RUNS
UPDATE runs SET version=(runs.version + 1), waits_for=NULL, due=NULL WHERE coalesce(runs.project, '') = :of_project AND waits_for = 'files' AND runs.config LIKE :naming;

-- ==== src/clew/store/webhooks.py ====

-- INSERT_WEBHOOK
INSERT INTO webhooks (id, project, created_at, url, events, secret, metadata, disabled_at, last_error) VALUES (:id, :project, :created_at, :url, :events, :secret, :metadata, :disabled_at, :last_error);

-- SELECT_WEBHOOK
SELECT webhooks.id, webhooks.project, webhooks.created_at, webhooks.url, webhooks.events, webhooks.secret, webhooks.metadata, webhooks.disabled_at, webhooks.last_error
FROM webhooks
WHERE webhooks.id = :id AND webhooks.project = :project;

-- COUNT_WEBHOOKS
SELECT count(*) AS count_1
FROM webhooks
WHERE webhooks.project = :project;

-- DELETE_WEBHOOK
DELETE FROM webhooks WHERE webhooks.id = :id AND webhooks.project = :project;

-- DISABLE_WEBHOOK
UPDATE webhooks SET disabled_at=:now, last_error=:error WHERE webhooks.id = :webhook_id;

-- SAVE_ERROR
UPDATE webhooks SET last_error=:error WHERE webhooks.id = :webhook_id;

-- SELECT_SECRETS
SELECT webhooks.id, webhooks.secret
FROM webhooks;

-- SAVE_SECRET
UPDATE webhooks SET secret=:sealed WHERE webhooks.id = :webhook_id;

-- CLEAR_ERROR
UPDATE webhooks SET last_error=NULL WHERE webhooks.id = :webhook_id AND webhooks.last_error IS NOT NULL;

-- ANNOUNCE
INSERT INTO due_work (kind, id, project, lane, created_at, due, attempts, epoch, payload) SELECT 'webhook', webhooks.id || :key AS anon_1, webhooks.project, webhooks.id, :created_at AS anon_2, :due AS anon_3, 0, 0, :payload AS anon_4
FROM webhooks
WHERE webhooks.project = :project AND webhooks.disabled_at IS NULL AND webhooks.events LIKE :wanted;

-- ==== src/clew/store/workers.py ====

-- INSERT_WORKER
INSERT INTO workers (id, host, pid, works, started_at, seen_at, beats, active_runs) VALUES (:id, :host, :pid, :works, :started_at, :seen_at, :beats, :active_runs);

-- UPDATE_WORKER
UPDATE workers SET seen_at=:now, beats=(workers.beats + 1), active_runs=:active WHERE workers.id = :worker_id;

-- SELECT_BEATS
SELECT workers.id, workers.beats
FROM workers;

-- SELECT_WORKERS
SELECT workers.id, workers.host, workers.pid, workers.works, workers.started_at, workers.seen_at, workers.beats, workers.active_runs
FROM workers ORDER BY workers.started_at;

-- DELETE_WORKER
DELETE FROM workers WHERE workers.id = :worker_id;

-- DELETE_SILENT
DELETE FROM workers WHERE workers.seen_at < :before;

-- ==== src/clew/store/pages.py ====

-- agents of a project, behind a cursor
SELECT agents.temperature, agents.top_p, agents.response_format, agents.reasoning_effort, agents.id, agents.project, agents.created_at, agents.model, agents.name, agents.description, agents.instructions, agents.tools, agents.tool_resources, agents.metadata
FROM agents
WHERE agents.project = :project AND agents.seq < (SELECT agents.seq
FROM agents
WHERE agents.id = :after AND agents.project = :project) ORDER BY agents.seq DESC
 LIMIT :limit OFFSET 0;

-- threads of a project, behind a cursor
SELECT threads.id, threads.project, threads.created_at, threads.metadata, threads.tool_resources, threads.token_budget, threads.tokens_used, threads.hidden, threads.begins_in, threads.begins_after
FROM threads
WHERE threads.project = :project AND NOT hidden AND threads.seq < (SELECT threads.seq
FROM threads
WHERE threads.id = :after AND threads.project = :project) ORDER BY threads.seq DESC
 LIMIT :limit OFFSET 0;

-- threads with two pairs of metadata, behind a cursor
SELECT threads.id, threads.project, threads.created_at, threads.metadata, threads.tool_resources, threads.token_budget, threads.tokens_used, threads.hidden, threads.begins_in, threads.begins_after
FROM threads
WHERE threads.project = :project AND NOT hidden AND threads.seq < (SELECT threads.seq
FROM threads
WHERE threads.id = :after AND threads.project = :project) AND threads.seq IN (SELECT thread_tags.thread_seq
FROM thread_tags
WHERE thread_tags.project = :project AND thread_tags."key" = :key_0 AND thread_tags.value = :value_0) AND threads.seq IN (SELECT thread_tags.thread_seq
FROM thread_tags
WHERE thread_tags.project = :project AND thread_tags."key" = :key_1 AND thread_tags.value = :value_1) ORDER BY threads.seq DESC
 LIMIT :limit OFFSET 0;

-- messages of a thread, behind a cursor
SELECT messages.id, messages.project, messages.thread_id, messages.created_at, messages.role, messages.content, messages.assistant_id, messages.run_id, messages.status, messages.incomplete_reason, messages.completed_at, messages.incomplete_at, messages.attachments, messages.metadata, messages.held
FROM messages
WHERE messages.project = :project AND messages.thread_id = :thread_id AND messages.held IS NULL AND messages.seq < (SELECT messages.seq
FROM messages
WHERE messages.id = :after AND messages.project = :project AND messages.thread_id = :thread_id) ORDER BY messages.seq DESC
 LIMIT :limit OFFSET 0;

-- messages of a run, behind a cursor
SELECT messages.id, messages.project, messages.thread_id, messages.created_at, messages.role, messages.content, messages.assistant_id, messages.run_id, messages.status, messages.incomplete_reason, messages.completed_at, messages.incomplete_at, messages.attachments, messages.metadata, messages.held
FROM messages
WHERE messages.project = :project AND messages.thread_id = :thread_id AND messages.run_id = :run_id AND messages.held IS NULL AND messages.seq < (SELECT messages.seq
FROM messages
WHERE messages.id = :after AND messages.project = :project AND messages.thread_id = :thread_id AND messages.run_id = :run_id) ORDER BY messages.seq DESC
 LIMIT :limit OFFSET 0;

-- runs of a thread, behind a cursor
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM runs
WHERE runs.thread_id = :thread_id AND runs.seq < (SELECT runs.seq
FROM runs
WHERE runs.id = :after AND runs.thread_id = :thread_id) ORDER BY runs.seq DESC
 LIMIT :limit OFFSET 0;

-- steps of a run, behind a cursor
SELECT steps.id, steps.project, steps.run_id, steps.thread_id, steps.assistant_id, steps.created_at, steps.type, steps.turn, steps.position, steps.end_position, steps.status, steps.message_id, steps.last_error, steps.usage, steps.facts, steps.first_token_at, steps.completed_at, steps.failed_at, steps.cancelled_at, steps.expired_at, steps.metadata
FROM steps
WHERE steps.project = :project AND steps.thread_id = :thread_id AND steps.run_id = :run_id AND steps.seq < (SELECT steps.seq
FROM steps
WHERE steps.id = :after AND steps.project = :project AND steps.thread_id = :thread_id AND steps.run_id = :run_id) ORDER BY steps.seq DESC
 LIMIT :limit OFFSET 0;

-- ==== src/clew/store/run_lists.py ====

-- all of a project
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM runs
WHERE runs.project = :project ORDER BY runs.seq DESC
 LIMIT :limit OFFSET 0;

-- live
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM (SELECT examined.seq AS seq
FROM (SELECT live_and_held.seq AS seq, live_and_held.created_at AS created_at, live_and_held.status AS status, live_and_held.assistant_id AS assistant_id
FROM (SELECT runs.seq AS seq, runs.created_at AS created_at, runs.status AS status, runs.assistant_id AS assistant_id
FROM runs
WHERE coalesce(runs.project, '') = :project AND held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action') UNION ALL SELECT runs.seq AS seq, runs.created_at AS created_at, runs.status AS status, runs.assistant_id AS assistant_id
FROM runs
WHERE coalesce(runs.project, '') = :project AND held IS NOT NULL) AS live_and_held ORDER BY coalesce(live_and_held.seq, 0) DESC
 LIMIT 1000 OFFSET 0) AS examined
WHERE examined.status IN (:status_0, :status_1, :status_2, :status_3) ORDER BY examined.seq DESC
 LIMIT :limit OFFSET 0) AS matched JOIN runs ON runs.seq = matched.seq ORDER BY matched.seq DESC;

-- a mix
SELECT runs.id, runs.project, runs.thread_id, runs.assistant_id, runs.created_at, runs.expires_at, runs.config, runs.status, runs.started_at, runs.completed_at, runs.failed_at, runs.cancelled_at, runs.last_error, runs.incomplete_reason, runs.usage, runs.turns, runs.metadata, runs.epoch, runs.version, runs.position, runs.held, runs.worker, runs.claimed_at, runs.attempts, runs.open_step, runs.waits_for, runs.due, runs.retrying_since, runs.lost_turns, runs.cost, runs.waits, runs.begun_at, runs.spoke_at
FROM (SELECT examined.seq AS seq
FROM (SELECT runs.seq AS seq, runs.created_at AS created_at, runs.status AS status, runs.assistant_id AS assistant_id
FROM runs
WHERE runs.project = :project AND runs.assistant_id = :assistant_id ORDER BY runs.seq DESC
 LIMIT 1000 OFFSET 0) AS examined
WHERE examined.created_at >= :since AND examined.status IN (:status_0) AND examined.created_at < :until ORDER BY examined.seq DESC
 LIMIT :limit OFFSET 0) AS matched JOIN runs ON runs.seq = matched.seq ORDER BY matched.seq DESC;

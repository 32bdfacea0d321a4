BEGIN TRANSACTION;
CREATE TABLE agents (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	project TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	model TEXT NOT NULL, 
	name TEXT, 
	description TEXT, 
	instructions TEXT, 
	tools TEXT NOT NULL, 
	tool_resources TEXT NOT NULL, 
	metadata TEXT NOT NULL, 
	temperature FLOAT NOT NULL, 
	top_p FLOAT NOT NULL, 
	response_format TEXT NOT NULL, 
	reasoning_effort TEXT, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "agents" VALUES(1,'asst_000000000000000000000003','alpha',1800000000250,'scripted',NULL,NULL,NULL,'[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}]','{}','{}',1.0,1.0,'"auto"',NULL);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO "alembic_version" VALUES('0004');
CREATE TABLE answers (
	project TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (project, "key")
);
CREATE TABLE deliveries (
	seq INTEGER NOT NULL, 
	webhook_seq BIGINT NOT NULL, 
	project TEXT NOT NULL, 
	thread_id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	event TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	due BIGINT NOT NULL, 
	attempts INTEGER NOT NULL, 
	PRIMARY KEY (seq), 
	FOREIGN KEY(webhook_seq) REFERENCES webhooks (seq) ON DELETE CASCADE
);
CREATE TABLE messages (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	project TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	thread_id TEXT NOT NULL, 
	role TEXT NOT NULL, 
	content TEXT NOT NULL, 
	assistant_id TEXT, 
	run_id TEXT, 
	status TEXT NOT NULL, 
	incomplete_reason TEXT, 
	completed_at BIGINT, 
	incomplete_at BIGINT, 
	attachments TEXT NOT NULL, 
	metadata TEXT NOT NULL, 
	held INTEGER, 
	PRIMARY KEY (seq), 
	UNIQUE (id), 
	FOREIGN KEY(thread_id) REFERENCES threads (id) ON DELETE CASCADE
);
INSERT INTO "messages" VALUES(1,'msg_000000000000000000000006','alpha',1800000000250,'thread_000000000000000000000005','user','[{"type":"text","text":{"value":"plain","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000000250,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(2,'msg_000000000000000000000009','alpha',1800000000250,'thread_000000000000000000000005','assistant','[{"type":"text","text":{"value":"Wörds in several pieces 🧶.","annotations":[]}}]','asst_000000000000000000000003','run_000000000000000000000008','completed',NULL,1800000000250,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(3,'msg_000000000000000000000017','alpha',1800000001750,'thread_000000000000000000000016','user','[{"type":"text","text":{"value":"tools","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000001750,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(4,'msg_000000000000000000000029','alpha',1800000001750,'thread_000000000000000000000016','assistant','[{"type":"text","text":{"value":"Let me see. ","annotations":[]}}]','asst_000000000000000000000003','run_000000000000000000000019','completed',NULL,1800000001750,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(5,'msg_000000000000000000000036','alpha',1800000001750,'thread_000000000000000000000016','assistant','[{"type":"text","text":{"value":"Wörds in several pieces 🧶.","annotations":[]}}]','asst_000000000000000000000003','run_000000000000000000000019','completed',NULL,1800000001750,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(6,'msg_000000000000000000000043','alpha',1800000003250,'thread_000000000000000000000042','user','[{"type":"text","text":{"value":"cut","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000003250,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(7,'msg_000000000000000000000046','alpha',1800000003250,'thread_000000000000000000000042','assistant','[{"type":"text","text":{"value":"This is cut off here","annotations":[]}}]','asst_000000000000000000000003','run_000000000000000000000045','incomplete','max_tokens',NULL,1800000003250,'[]','{}',NULL);
INSERT INTO "messages" VALUES(8,'msg_000000000000000000000053','alpha',1800000004750,'thread_000000000000000000000052','user','[{"type":"text","text":{"value":"failed","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000004750,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(9,'msg_000000000000000000000056','alpha',1800000004750,'thread_000000000000000000000052','assistant','[{"type":"text","text":{"value":"This breaks off","annotations":[]}}]','asst_000000000000000000000003','run_000000000000000000000055','incomplete','content_filter',NULL,1800000004750,'[]','{}',NULL);
INSERT INTO "messages" VALUES(10,'msg_000000000000000000000063','alpha',1800000006250,'thread_000000000000000000000062','user','[{"type":"text","text":{"value":"cancelled","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000006250,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(11,'msg_000000000000000000000077','alpha',1800000008750,'thread_000000000000000000000076','user','[{"type":"text","text":{"value":"expired","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000008750,NULL,'[]','{}',NULL);
CREATE TABLE runs (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	project TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	thread_id TEXT NOT NULL, 
	assistant_id TEXT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	config TEXT NOT NULL, 
	status TEXT NOT NULL, 
	started_at BIGINT, 
	completed_at BIGINT, 
	failed_at BIGINT, 
	cancelled_at BIGINT, 
	last_error TEXT, 
	incomplete_reason TEXT, 
	usage TEXT NOT NULL, 
	turns INTEGER NOT NULL, 
	metadata TEXT NOT NULL, 
	epoch INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	position BIGINT NOT NULL, 
	starts INTEGER NOT NULL, 
	held INTEGER, 
	worker TEXT, 
	begun_at BIGINT, 
	spoke_at BIGINT, 
	ended_at BIGINT, 
	code TEXT, 
	model TEXT, 
	queue_ms INTEGER, 
	first_token_ms INTEGER, 
	total_ms BIGINT, 
	prompt_tokens INTEGER, 
	completion_tokens INTEGER, 
	cached_tokens INTEGER, 
	PRIMARY KEY (seq), 
	UNIQUE (id), 
	FOREIGN KEY(thread_id) REFERENCES threads (id) ON DELETE CASCADE
);
INSERT INTO "runs" VALUES(1,'run_000000000000000000000008','alpha',1800000000250,'thread_000000000000000000000005','asst_000000000000000000000003',1800000600250,'{"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}],"tool_resources":{},"temperature":1.0,"top_p":1.0,"response_format":"auto","reasoning_effort":null,"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null}','completed',1800000000250,1800000000250,NULL,NULL,NULL,NULL,'{"prompt_tokens":1,"completion_tokens":5,"cached_tokens":0}',1,'{}',1,1,36,1,NULL,'worker_000000000000000000000001',1800000000250,1800000000250,1800000000250,NULL,'scripted',0,0,0,1,5,0);
INSERT INTO "runs" VALUES(2,'run_000000000000000000000019','alpha',1800000001750,'thread_000000000000000000000016','asst_000000000000000000000003',1800000601750,'{"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}],"tool_resources":{},"temperature":1.0,"top_p":1.0,"response_format":"auto","reasoning_effort":null,"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null}','completed',1800000001750,1800000001750,NULL,NULL,NULL,NULL,'{"prompt_tokens":33,"completion_tokens":17,"cached_tokens":0}',3,'{}',3,5,103,3,NULL,'worker_000000000000000000000001',1800000001750,1800000001750,1800000001750,NULL,'scripted',0,0,0,33,17,0);
INSERT INTO "runs" VALUES(3,'run_000000000000000000000045','alpha',1800000003250,'thread_000000000000000000000042','asst_000000000000000000000003',1800000603250,'{"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}],"tool_resources":{},"temperature":1.0,"top_p":1.0,"response_format":"auto","reasoning_effort":null,"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null}','incomplete',1800000003250,1800000003250,NULL,NULL,NULL,'max_completion_tokens','{"prompt_tokens":1,"completion_tokens":5,"cached_tokens":0}',1,'{}',1,1,30,1,NULL,'worker_000000000000000000000001',1800000003250,1800000003250,1800000003250,'max_completion_tokens','scripted',0,0,0,1,5,0);
INSERT INTO "runs" VALUES(4,'run_000000000000000000000055','alpha',1800000004750,'thread_000000000000000000000052','asst_000000000000000000000003',1800000604750,'{"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}],"tool_resources":{},"temperature":1.0,"top_p":1.0,"response_format":"auto","reasoning_effort":null,"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null}','incomplete',1800000004750,1800000004750,NULL,NULL,NULL,'content_filter','{"prompt_tokens":1,"completion_tokens":3,"cached_tokens":0}',1,'{}',1,1,25,1,NULL,'worker_000000000000000000000001',1800000004750,1800000004750,1800000004750,'content_filter','scripted',0,0,0,1,3,0);
INSERT INTO "runs" VALUES(5,'run_000000000000000000000065','alpha',1800000006250,'thread_000000000000000000000062','asst_000000000000000000000003',1800000606250,'{"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}],"tool_resources":{},"temperature":1.0,"top_p":1.0,"response_format":"auto","reasoning_effort":null,"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null}','cancelled',1800000006250,NULL,NULL,1800000007250,NULL,NULL,'{"prompt_tokens":1,"completion_tokens":2,"cached_tokens":0}',1,'{}',2,4,12,1,NULL,'worker_000000000000000000000001',1800000006250,NULL,1800000007250,'cancelled','scripted',0,NULL,1000,1,2,0);
INSERT INTO "runs" VALUES(6,'run_000000000000000000000079','alpha',1800000008750,'thread_000000000000000000000076','asst_000000000000000000000003',1800000068750,'{"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}],"tool_resources":{},"temperature":1.0,"top_p":1.0,"response_format":"auto","reasoning_effort":null,"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null}','expired',1800000008750,NULL,NULL,NULL,NULL,NULL,'{"prompt_tokens":1,"completion_tokens":2,"cached_tokens":0}',1,'{}',2,3,11,1,NULL,'worker_000000000000000000000001',1800000008750,NULL,1800000069750,'expired','scripted',0,NULL,61000,1,2,0);
ANALYZE "sqlite_master";
INSERT INTO "sqlite_stat1" VALUES('steps','steps_by_thread','9 2 1');
INSERT INTO "sqlite_stat1" VALUES('steps','steps_by_run','9 2 1');
INSERT INTO "sqlite_stat1" VALUES('steps','sqlite_autoindex_steps_1','9 1');
INSERT INTO "sqlite_stat1" VALUES('agents','agents_by_project','1 1 1');
INSERT INTO "sqlite_stat1" VALUES('agents','sqlite_autoindex_agents_1','1 1');
INSERT INTO "sqlite_stat1" VALUES('threads','threads_by_project','6 6 1');
INSERT INTO "sqlite_stat1" VALUES('threads','sqlite_autoindex_threads_1','6 1');
CREATE TABLE steps (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	project TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	thread_id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	assistant_id TEXT NOT NULL, 
	type TEXT NOT NULL, 
	turn INTEGER NOT NULL, 
	position BIGINT NOT NULL, 
	waited BOOLEAN NOT NULL, 
	status TEXT NOT NULL, 
	message_id TEXT, 
	calls TEXT NOT NULL, 
	last_error TEXT, 
	usage TEXT NOT NULL, 
	first_token_at BIGINT, 
	completed_at BIGINT, 
	failed_at BIGINT, 
	cancelled_at BIGINT, 
	expired_at BIGINT, 
	metadata TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id), 
	FOREIGN KEY(thread_id) REFERENCES threads (id) ON DELETE CASCADE, 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "steps" VALUES(1,'step_000000000000000000000010','alpha',1800000000250,'thread_000000000000000000000005','run_000000000000000000000008','asst_000000000000000000000003','message_creation',1,4,0,'completed','msg_000000000000000000000009','[]',NULL,'{"prompt_tokens":1,"completion_tokens":5,"cached_tokens":0}',1800000000250,1800000000250,NULL,NULL,NULL,'{}');
INSERT INTO "steps" VALUES(2,'step_000000000000000000000022','alpha',1800000001750,'thread_000000000000000000000016','run_000000000000000000000019','asst_000000000000000000000003','tool_calls',1,4,1,'completed',NULL,'[{"id":"call_000000000000000000000023","name":"look","arguments":"{\"at\":\"left 🧶\"}","output":"{\"at\":\"left 🧶\"}"},{"id":"call_000000000000000000000024","name":"listen","arguments":"{}","output":"{}"},{"id":"call_000000000000000000000025","name":"fly","arguments":"{}","output":"{\"error\": \"There is no function named ''fly''. Known: [''look'', ''listen'']\"}"}]',NULL,'{"prompt_tokens":1,"completion_tokens":7,"cached_tokens":0}',1800000001750,1800000001750,NULL,NULL,NULL,'{}');
INSERT INTO "steps" VALUES(3,'step_000000000000000000000030','alpha',1800000001750,'thread_000000000000000000000016','run_000000000000000000000019','asst_000000000000000000000003','message_creation',2,32,0,'completed','msg_000000000000000000000029','[]',NULL,'{"prompt_tokens":0,"completion_tokens":0,"cached_tokens":0}',1800000001750,1800000001750,NULL,NULL,NULL,'{}');
INSERT INTO "steps" VALUES(4,'step_000000000000000000000031','alpha',1800000001750,'thread_000000000000000000000016','run_000000000000000000000019','asst_000000000000000000000003','tool_calls',2,50,1,'completed',NULL,'[{"id":"call_000000000000000000000033","name":"look","arguments":"{\"at\":\"right\"}","output":"{\"at\":\"right\"}"}]',NULL,'{"prompt_tokens":14,"completion_tokens":5,"cached_tokens":0}',1800000001750,1800000001750,NULL,NULL,NULL,'{}');
INSERT INTO "steps" VALUES(5,'step_000000000000000000000037','alpha',1800000001750,'thread_000000000000000000000016','run_000000000000000000000019','asst_000000000000000000000003','message_creation',3,71,0,'completed','msg_000000000000000000000036','[]',NULL,'{"prompt_tokens":18,"completion_tokens":5,"cached_tokens":0}',1800000001750,1800000001750,NULL,NULL,NULL,'{}');
INSERT INTO "steps" VALUES(6,'step_000000000000000000000047','alpha',1800000003250,'thread_000000000000000000000042','run_000000000000000000000045','asst_000000000000000000000003','message_creation',1,4,0,'completed','msg_000000000000000000000046','[]',NULL,'{"prompt_tokens":1,"completion_tokens":5,"cached_tokens":0}',1800000003250,1800000003250,NULL,NULL,NULL,'{}');
INSERT INTO "steps" VALUES(7,'step_000000000000000000000057','alpha',1800000004750,'thread_000000000000000000000052','run_000000000000000000000055','asst_000000000000000000000003','message_creation',1,4,0,'completed','msg_000000000000000000000056','[]',NULL,'{"prompt_tokens":1,"completion_tokens":3,"cached_tokens":0}',1800000004750,1800000004750,NULL,NULL,NULL,'{}');
INSERT INTO "steps" VALUES(8,'step_000000000000000000000068','alpha',1800000006250,'thread_000000000000000000000062','run_000000000000000000000065','asst_000000000000000000000003','tool_calls',1,4,1,'cancelled',NULL,'[{"id":"call_000000000000000000000070","name":"look","arguments":"{}","output":null}]',NULL,'{"prompt_tokens":1,"completion_tokens":2,"cached_tokens":0}',1800000006250,NULL,NULL,1800000007250,NULL,'{}');
INSERT INTO "steps" VALUES(9,'step_000000000000000000000082','alpha',1800000008750,'thread_000000000000000000000076','run_000000000000000000000079','asst_000000000000000000000003','tool_calls',1,4,1,'expired',NULL,'[{"id":"call_000000000000000000000083","name":"look","arguments":"{}","output":null}]',NULL,'{"prompt_tokens":1,"completion_tokens":2,"cached_tokens":0}',1800000008750,NULL,NULL,NULL,1800000069750,'{}');
CREATE TABLE takeovers (
	seq INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	epoch INTEGER NOT NULL, 
	turn INTEGER NOT NULL, 
	from_worker TEXT, 
	to_worker TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
CREATE TABLE thread_tags (
	thread_seq BIGINT NOT NULL, 
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	project TEXT NOT NULL, 
	PRIMARY KEY (thread_seq, "key"), 
	FOREIGN KEY(thread_seq) REFERENCES threads (seq) ON DELETE CASCADE
);
CREATE TABLE threads (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	project TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	metadata TEXT NOT NULL, 
	tool_resources TEXT NOT NULL, 
	token_budget BIGINT, 
	tokens_used BIGINT NOT NULL, 
	message_count INTEGER DEFAULT '0' NOT NULL, 
	live_run TEXT, 
	waiting INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "threads" VALUES(1,'thread_000000000000000000000005','alpha',1800000000250,'{}','{}',NULL,6,2,NULL,0);
INSERT INTO "threads" VALUES(2,'thread_000000000000000000000016','alpha',1800000001750,'{}','{}',NULL,50,3,NULL,0);
INSERT INTO "threads" VALUES(3,'thread_000000000000000000000042','alpha',1800000003250,'{}','{}',NULL,6,2,NULL,0);
INSERT INTO "threads" VALUES(4,'thread_000000000000000000000052','alpha',1800000004750,'{}','{}',NULL,4,2,NULL,0);
INSERT INTO "threads" VALUES(5,'thread_000000000000000000000062','alpha',1800000006250,'{}','{}',NULL,3,1,NULL,0);
INSERT INTO "threads" VALUES(6,'thread_000000000000000000000076','alpha',1800000008750,'{}','{}',NULL,3,1,NULL,0);
CREATE TABLE tool_calls (
	seq INTEGER NOT NULL, 
	project TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	ended_at BIGINT NOT NULL, 
	name TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	ms BIGINT NOT NULL, 
	PRIMARY KEY (seq), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "tool_calls" VALUES(1,'alpha','run_000000000000000000000019',1800000001750,'look','ok',0);
INSERT INTO "tool_calls" VALUES(2,'alpha','run_000000000000000000000019',1800000001750,'listen','ok',0);
INSERT INTO "tool_calls" VALUES(3,'alpha','run_000000000000000000000019',1800000001750,'fly','failed',0);
INSERT INTO "tool_calls" VALUES(4,'alpha','run_000000000000000000000019',1800000001750,'look','ok',0);
INSERT INTO "tool_calls" VALUES(5,'alpha','run_000000000000000000000065',1800000007250,'look','cancelled',1000);
INSERT INTO "tool_calls" VALUES(6,'alpha','run_000000000000000000000079',1800000069750,'look','expired',61000);
CREATE TABLE usage_by_day (
	project TEXT NOT NULL, 
	day INTEGER NOT NULL, 
	tokens BIGINT NOT NULL, 
	PRIMARY KEY (project, day)
);
CREATE TABLE webhooks (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	project TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	url TEXT NOT NULL, 
	events TEXT NOT NULL, 
	secret TEXT NOT NULL, 
	metadata TEXT NOT NULL, 
	disabled_at BIGINT, 
	last_error TEXT, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
CREATE TABLE workers (
	id TEXT NOT NULL, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	works BOOLEAN NOT NULL, 
	started_at BIGINT NOT NULL, 
	seen_at BIGINT NOT NULL, 
	beats BIGINT NOT NULL, 
	active_runs INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX agents_by_project ON agents (project, seq);
CREATE INDEX answers_by_age ON answers (created_at);
CREATE INDEX threads_by_project ON threads (project, seq);
CREATE INDEX webhooks_by_project ON webhooks (project, seq);
CREATE INDEX deliveries_by_due ON deliveries (due);
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_seq, due);
CREATE INDEX held_messages ON messages (thread_id, held) WHERE held IS NOT NULL;
CREATE INDEX messages_by_run ON messages (run_id, seq) WHERE run_id IS NOT NULL;
CREATE INDEX messages_by_thread ON messages (thread_id, seq);
CREATE INDEX ended_runs ON runs (project, ended_at, status, code, model, queue_ms, first_token_ms, total_ms, prompt_tokens, completion_tokens, cached_tokens) WHERE ended_at IS NOT NULL;
CREATE INDEX held_runs ON runs (thread_id, held) WHERE held IS NOT NULL;
CREATE UNIQUE INDEX live_run_of_thread ON runs (thread_id) WHERE held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action');
CREATE INDEX live_runs_by_expiry ON runs (expires_at) WHERE held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action');
CREATE INDEX runs_by_thread ON runs (thread_id, seq);
CREATE INDEX thread_tags_by_value ON thread_tags (project, "key", value, thread_seq);
CREATE INDEX steps_by_run ON steps (run_id, seq);
CREATE INDEX steps_by_thread ON steps (thread_id, seq);
CREATE INDEX takeovers_by_run ON takeovers (run_id);
CREATE INDEX tool_calls_by_end ON tool_calls (project, ended_at, name, outcome, ms);
CREATE INDEX tool_calls_by_run ON tool_calls (run_id);
COMMIT;

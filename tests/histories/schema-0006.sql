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
	temperature FLOAT, 
	top_p FLOAT, 
	response_format TEXT, 
	reasoning_effort TEXT, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "agents" VALUES(1,'asst_000000000000000000000003','alpha',1800000000250,'scripted',NULL,NULL,NULL,'[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}]','{}','{}',NULL,NULL,NULL,NULL);
INSERT INTO "agents" VALUES(2,'asst_000000000000000000000088','alpha',1800000071250,'scripted',NULL,NULL,NULL,'[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}},{"type":"clew_calculator"},{"type":"clew_calculator","require_approval":"always"}]','{}','{}',NULL,NULL,NULL,NULL);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO "alembic_version" VALUES('0006');
CREATE TABLE answers (
	project TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (project, "key")
);
CREATE TABLE calls (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	project TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	run_id TEXT NOT NULL, 
	step_id TEXT NOT NULL, 
	turn INTEGER NOT NULL, 
	"index" INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	arguments TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	state TEXT NOT NULL, 
	result TEXT, 
	approval BOOLEAN NOT NULL, 
	repeatable BOOLEAN NOT NULL, 
	attempts INTEGER NOT NULL, 
	output TEXT, 
	detail TEXT, 
	model_id TEXT, 
	extras TEXT, 
	position BIGINT, 
	begun_at BIGINT, 
	ended_at BIGINT, 
	ms BIGINT, 
	PRIMARY KEY (seq), 
	UNIQUE (id), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "calls" VALUES(1,'call_000000000000000000000025','alpha',1800000001750,'run_000000000000000000000020','step_000000000000000000000024',1,0,'look','{"at":"left 🧶"}','function','done','ok',0,0,0,'{"at":"left 🧶"}',NULL,'call_2_1',NULL,NULL,NULL,1800000001750,0);
INSERT INTO "calls" VALUES(2,'call_000000000000000000000026','alpha',1800000001750,'run_000000000000000000000020','step_000000000000000000000024',1,1,'listen','{}','function','done','ok',0,0,0,'{}',NULL,'call_2_2',NULL,NULL,NULL,1800000001750,0);
INSERT INTO "calls" VALUES(3,'call_000000000000000000000027','alpha',1800000001750,'run_000000000000000000000020','step_000000000000000000000024',1,2,'fly','{}','function','done','not_offered',0,0,0,'{"error":"There is no function named ''fly''. Known: [''look'', ''listen'']"}',NULL,'call_2_3',NULL,NULL,1800000001750,1800000001750,0);
INSERT INTO "calls" VALUES(4,'call_000000000000000000000034','alpha',1800000001750,'run_000000000000000000000020','step_000000000000000000000033',2,0,'look','{"at":"right"}','function','done','ok',0,0,0,'{"at":"right"}',NULL,'call_3_1',NULL,NULL,NULL,1800000001750,0);
INSERT INTO "calls" VALUES(5,'call_000000000000000000000067','alpha',1800000006250,'run_000000000000000000000063','step_000000000000000000000066',1,0,'look','{}','function','done','cancelled',0,0,0,NULL,NULL,'call_7_1',NULL,NULL,NULL,1800000007250,1000);
INSERT INTO "calls" VALUES(6,'call_000000000000000000000083','alpha',1800000008750,'run_000000000000000000000078','step_000000000000000000000082',1,0,'look','{}','function','done','expired',0,0,0,NULL,NULL,'call_8_1',NULL,NULL,NULL,1800000069750,61000);
INSERT INTO "calls" VALUES(7,'call_000000000000000000000098','alpha',1800000071250,'run_000000000000000000000093','step_000000000000000000000097',1,0,'clew_calculator','{"expression":"1 + 1"}','clew_calculator','done','ok',0,1,1,'2',NULL,'call_9_1',NULL,65,1800000071250,1800000071250,0);
INSERT INTO "calls" VALUES(8,'call_000000000000000000000099','alpha',1800000071250,'run_000000000000000000000093','step_000000000000000000000097',1,1,'clew_calculator_2','{"expression":"2 * 3"}','clew_calculator','done','ok',1,1,1,'6',NULL,'call_9_2',NULL,69,1800000071250,1800000071250,0);
INSERT INTO "calls" VALUES(9,'call_000000000000000000000100','alpha',1800000071250,'run_000000000000000000000093','step_000000000000000000000097',1,2,'look','{}','function','done','ok',0,0,0,'{}',NULL,'call_9_3',NULL,NULL,NULL,1800000071250,0);
INSERT INTO "calls" VALUES(10,'call_000000000000000000000120','alpha',1800000072750,'run_000000000000000000000115','step_000000000000000000000119',1,0,'clew_calculator','{"expression":"1 + 1"}','clew_calculator','done','ok',0,1,1,'2',NULL,'call_11_1',NULL,65,1800000072750,1800000072750,0);
INSERT INTO "calls" VALUES(11,'call_000000000000000000000121','alpha',1800000072750,'run_000000000000000000000115','step_000000000000000000000119',1,1,'clew_calculator_2','{"expression":"2 * 3"}','clew_calculator','denied','denied',1,1,0,'The user declined this tool call.',NULL,'call_11_2',NULL,67,1800000072750,1800000072750,0);
INSERT INTO "calls" VALUES(12,'call_000000000000000000000122','alpha',1800000072750,'run_000000000000000000000115','step_000000000000000000000119',1,2,'look','{}','function','done','ok',0,0,0,'{}',NULL,'call_11_3',NULL,NULL,NULL,1800000072750,0);
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
INSERT INTO "messages" VALUES(3,'msg_000000000000000000000018','alpha',1800000001750,'thread_000000000000000000000017','user','[{"type":"text","text":{"value":"tools","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000001750,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(4,'msg_000000000000000000000030','alpha',1800000001750,'thread_000000000000000000000017','assistant','[{"type":"text","text":{"value":"Let me see. ","annotations":[]}}]','asst_000000000000000000000003','run_000000000000000000000020','completed',NULL,1800000001750,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(5,'msg_000000000000000000000037','alpha',1800000001750,'thread_000000000000000000000017','assistant','[{"type":"text","text":{"value":"Wörds in several pieces 🧶.","annotations":[]}}]','asst_000000000000000000000003','run_000000000000000000000020','completed',NULL,1800000001750,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(6,'msg_000000000000000000000043','alpha',1800000003250,'thread_000000000000000000000042','user','[{"type":"text","text":{"value":"cut","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000003250,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(7,'msg_000000000000000000000046','alpha',1800000003250,'thread_000000000000000000000042','assistant','[{"type":"text","text":{"value":"This is cut off here","annotations":[]}}]','asst_000000000000000000000003','run_000000000000000000000045','incomplete','max_tokens',NULL,1800000003250,'[]','{}',NULL);
INSERT INTO "messages" VALUES(8,'msg_000000000000000000000052','alpha',1800000004750,'thread_000000000000000000000051','user','[{"type":"text","text":{"value":"failed","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000004750,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(9,'msg_000000000000000000000055','alpha',1800000004750,'thread_000000000000000000000051','assistant','[{"type":"text","text":{"value":"This breaks off","annotations":[]}}]','asst_000000000000000000000003','run_000000000000000000000054','incomplete','content_filter',NULL,1800000004750,'[]','{}',NULL);
INSERT INTO "messages" VALUES(10,'msg_000000000000000000000061','alpha',1800000006250,'thread_000000000000000000000060','user','[{"type":"text","text":{"value":"cancelled","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000006250,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(11,'msg_000000000000000000000076','alpha',1800000008750,'thread_000000000000000000000075','user','[{"type":"text","text":{"value":"expired","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000008750,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(12,'msg_000000000000000000000091','alpha',1800000071250,'thread_000000000000000000000090','user','[{"type":"text","text":{"value":"mixed","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000071250,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(13,'msg_000000000000000000000094','alpha',1800000071250,'thread_000000000000000000000090','assistant','[{"type":"text","text":{"value":"So: ","annotations":[]}}]','asst_000000000000000000000088','run_000000000000000000000093','completed',NULL,1800000071250,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(14,'msg_000000000000000000000107','alpha',1800000071250,'thread_000000000000000000000090','assistant','[{"type":"text","text":{"value":"Wörds in several pieces 🧶.","annotations":[]}}]','asst_000000000000000000000088','run_000000000000000000000093','completed',NULL,1800000071250,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(15,'msg_000000000000000000000113','alpha',1800000072750,'thread_000000000000000000000112','user','[{"type":"text","text":{"value":"denied","annotations":[]}}]',NULL,NULL,'completed',NULL,1800000072750,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(16,'msg_000000000000000000000116','alpha',1800000072750,'thread_000000000000000000000112','assistant','[{"type":"text","text":{"value":"So: ","annotations":[]}}]','asst_000000000000000000000088','run_000000000000000000000115','completed',NULL,1800000072750,NULL,'[]','{}',NULL);
INSERT INTO "messages" VALUES(17,'msg_000000000000000000000129','alpha',1800000072750,'thread_000000000000000000000112','assistant','[{"type":"text","text":{"value":"Wörds in several pieces 🧶.","annotations":[]}}]','asst_000000000000000000000088','run_000000000000000000000115','completed',NULL,1800000072750,NULL,'[]','{}',NULL);
CREATE TABLE runs (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	project TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	thread_id TEXT NOT NULL, 
	assistant_id TEXT, 
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
	claimed_at BIGINT, 
	attempts INTEGER NOT NULL, 
	open_step TEXT, 
	waits_for TEXT, 
	due BIGINT, 
	waits TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id), 
	FOREIGN KEY(thread_id) REFERENCES threads (id) ON DELETE CASCADE
);
INSERT INTO "runs" VALUES(1,'run_000000000000000000000008','alpha',1800000000250,'thread_000000000000000000000005','asst_000000000000000000000003',1800000600250,'{"temperature":null,"top_p":null,"response_format":null,"reasoning_effort":null,"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}],"tool_resources":{},"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null,"offers":{}}','completed',1800000000250,1800000000250,NULL,NULL,NULL,NULL,'{"prompt_tokens":1,"completion_tokens":5,"cached_tokens":0}',1,'{}',1,1,36,NULL,'worker_000000000000000000000001',1800000000250,1800000000250,1800000000250,NULL,'scripted',0,0,0,1,5,0,1800000000250,0,NULL,NULL,NULL,'[]');
INSERT INTO "runs" VALUES(2,'run_000000000000000000000020','alpha',1800000001750,'thread_000000000000000000000017','asst_000000000000000000000003',1800000601750,'{"temperature":null,"top_p":null,"response_format":null,"reasoning_effort":null,"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}],"tool_resources":{},"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null,"offers":{}}','completed',1800000001750,1800000001750,NULL,NULL,NULL,NULL,'{"prompt_tokens":31,"completion_tokens":17,"cached_tokens":0}',3,'{}',3,5,103,NULL,'worker_000000000000000000000001',1800000001750,1800000001750,1800000001750,NULL,'scripted',0,0,0,31,17,0,1800000001750,0,NULL,NULL,NULL,'[["client","step_000000000000000000000024",1800000001750,28,1800000001750,30,1800000001750,31],["client","step_000000000000000000000033",1800000001750,67,1800000001750,69,1800000001750,70]]');
INSERT INTO "runs" VALUES(3,'run_000000000000000000000045','alpha',1800000003250,'thread_000000000000000000000042','asst_000000000000000000000003',1800000603250,'{"temperature":null,"top_p":null,"response_format":null,"reasoning_effort":null,"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}],"tool_resources":{},"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null,"offers":{}}','incomplete',1800000003250,1800000003250,NULL,NULL,NULL,'max_completion_tokens','{"prompt_tokens":1,"completion_tokens":5,"cached_tokens":0}',1,'{}',1,1,30,NULL,'worker_000000000000000000000001',1800000003250,1800000003250,1800000003250,'max_completion_tokens','scripted',0,0,0,1,5,0,1800000003250,0,NULL,NULL,NULL,'[]');
INSERT INTO "runs" VALUES(4,'run_000000000000000000000054','alpha',1800000004750,'thread_000000000000000000000051','asst_000000000000000000000003',1800000604750,'{"temperature":null,"top_p":null,"response_format":null,"reasoning_effort":null,"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}],"tool_resources":{},"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null,"offers":{}}','incomplete',1800000004750,1800000004750,NULL,NULL,NULL,'content_filter','{"prompt_tokens":1,"completion_tokens":3,"cached_tokens":0}',1,'{}',1,1,25,NULL,'worker_000000000000000000000001',1800000004750,1800000004750,1800000004750,'content_filter','scripted',0,0,0,1,3,0,1800000004750,0,NULL,NULL,NULL,'[]');
INSERT INTO "runs" VALUES(5,'run_000000000000000000000063','alpha',1800000006250,'thread_000000000000000000000060','asst_000000000000000000000003',1800000606250,'{"temperature":null,"top_p":null,"response_format":null,"reasoning_effort":null,"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}],"tool_resources":{},"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null,"offers":{}}','cancelled',1800000006250,NULL,NULL,1800000007250,NULL,NULL,'{"prompt_tokens":1,"completion_tokens":2,"cached_tokens":0}',1,'{}',2,4,12,NULL,'worker_000000000000000000000001',1800000006250,NULL,1800000007250,'cancelled','scripted',0,NULL,1000,1,2,0,1800000007250,0,NULL,NULL,NULL,'[["client","step_000000000000000000000066",1800000006250,9,null,null,null,null]]');
INSERT INTO "runs" VALUES(6,'run_000000000000000000000078','alpha',1800000008750,'thread_000000000000000000000075','asst_000000000000000000000003',1800000068750,'{"temperature":null,"top_p":null,"response_format":null,"reasoning_effort":null,"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}}],"tool_resources":{},"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null,"offers":{}}','expired',1800000008750,NULL,NULL,NULL,NULL,NULL,'{"prompt_tokens":1,"completion_tokens":2,"cached_tokens":0}',1,'{}',2,3,11,NULL,'worker_000000000000000000000001',1800000008750,NULL,1800000069750,'expired','scripted',0,NULL,61000,1,2,0,1800000069750,0,NULL,NULL,NULL,'[["client","step_000000000000000000000082",1800000008750,9,null,null,null,null]]');
INSERT INTO "runs" VALUES(7,'run_000000000000000000000093','alpha',1800000071250,'thread_000000000000000000000090','asst_000000000000000000000088',1800000671250,'{"temperature":null,"top_p":null,"response_format":null,"reasoning_effort":null,"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}},{"type":"clew_calculator"},{"type":"clew_calculator","require_approval":"always"}],"tool_resources":{},"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null,"offers":{"clew_calculator":{"kind":"clew_calculator","tool":2,"function":"clew_calculator","repeatable":true,"approval":false},"clew_calculator_2":{"kind":"clew_calculator","tool":3,"function":"clew_calculator","repeatable":true,"approval":true}}}','completed',1800000071250,1800000071250,NULL,NULL,NULL,NULL,'{"prompt_tokens":6,"completion_tokens":16,"cached_tokens":0}',2,'{}',3,6,106,NULL,'worker_000000000000000000000001',1800000071250,1800000071250,1800000071250,NULL,'scripted',0,0,0,6,16,0,1800000071250,0,NULL,NULL,NULL,'[["approval","step_000000000000000000000097",1800000071250,66,1800000071250,67,1800000071250,68],["client","step_000000000000000000000097",1800000071250,70,1800000071250,72,1800000071250,73]]');
INSERT INTO "runs" VALUES(8,'run_000000000000000000000115','alpha',1800000072750,'thread_000000000000000000000112','asst_000000000000000000000088',1800000672750,'{"temperature":null,"top_p":null,"response_format":null,"reasoning_effort":null,"model":"scripted","instructions":null,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"listen","parameters":{"type":"object","properties":{}}}},{"type":"clew_calculator"},{"type":"clew_calculator","require_approval":"always"}],"tool_resources":{},"tool_choice":"auto","parallel_tool_calls":true,"truncation_strategy":{"type":"auto","last_messages":null},"max_prompt_tokens":null,"max_completion_tokens":null,"token_allowance":null,"offers":{"clew_calculator":{"kind":"clew_calculator","tool":2,"function":"clew_calculator","repeatable":true,"approval":false},"clew_calculator_2":{"kind":"clew_calculator","tool":3,"function":"clew_calculator","repeatable":true,"approval":true}}}','completed',1800000072750,1800000072750,NULL,NULL,NULL,NULL,'{"prompt_tokens":11,"completion_tokens":16,"cached_tokens":0}',2,'{}',3,5,106,NULL,'worker_000000000000000000000001',1800000072750,1800000072750,1800000072750,NULL,'scripted',0,0,0,11,16,0,1800000072750,0,NULL,NULL,NULL,'[["approval","step_000000000000000000000119",1800000072750,66,1800000072750,68,1800000072750,69],["client","step_000000000000000000000119",1800000072750,70,1800000072750,72,1800000072750,73]]');
ANALYZE "sqlite_master";
INSERT INTO "sqlite_stat1" VALUES('agents','agents_by_project','2 2 1');
INSERT INTO "sqlite_stat1" VALUES('agents','sqlite_autoindex_agents_1','2 1');
INSERT INTO "sqlite_stat1" VALUES('calls','calls_by_run','12 3 2 1');
INSERT INTO "sqlite_stat1" VALUES('calls','calls_by_end','12 12 3 1 1 1');
INSERT INTO "sqlite_stat1" VALUES('calls','sqlite_autoindex_calls_1','12 1');
CREATE TABLE steps (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	project TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	thread_id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	assistant_id TEXT, 
	type TEXT NOT NULL, 
	turn INTEGER NOT NULL, 
	position BIGINT NOT NULL, 
	status TEXT NOT NULL, 
	message_id TEXT, 
	last_error TEXT, 
	usage TEXT NOT NULL, 
	first_token_at BIGINT, 
	completed_at BIGINT, 
	failed_at BIGINT, 
	cancelled_at BIGINT, 
	expired_at BIGINT, 
	metadata TEXT NOT NULL, 
	end_position BIGINT, 
	facts TEXT, 
	PRIMARY KEY (seq), 
	UNIQUE (id), 
	FOREIGN KEY(thread_id) REFERENCES threads (id) ON DELETE CASCADE, 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "steps" VALUES(1,'step_000000000000000000000010','alpha',1800000000250,'thread_000000000000000000000005','run_000000000000000000000008','asst_000000000000000000000003','message_creation',1,4,'completed','msg_000000000000000000000009',NULL,'{"prompt_tokens":1,"completion_tokens":5,"cached_tokens":0}',1800000000250,1800000000250,NULL,NULL,NULL,'{}',NULL,'{"model":"scripted","first":"msg_000000000000000000000006","last":"msg_000000000000000000000006","request":"9c6ec9a984764cce982f63e3fcc48d4f"}');
INSERT INTO "steps" VALUES(2,'step_000000000000000000000024','alpha',1800000001750,'thread_000000000000000000000017','run_000000000000000000000020','asst_000000000000000000000003','tool_calls',1,4,'completed',NULL,NULL,'{"prompt_tokens":1,"completion_tokens":7,"cached_tokens":0}',1800000001750,1800000001750,NULL,NULL,NULL,'{}',29,'{"model":"scripted","first":"msg_000000000000000000000018","last":"msg_000000000000000000000018","request":"ebeaf03da10025112aca5f9c6f56c7e0"}');
INSERT INTO "steps" VALUES(3,'step_000000000000000000000031','alpha',1800000001750,'thread_000000000000000000000017','run_000000000000000000000020','asst_000000000000000000000003','message_creation',2,32,'completed','msg_000000000000000000000030',NULL,'{"prompt_tokens":0,"completion_tokens":0,"cached_tokens":0}',1800000001750,1800000001750,NULL,NULL,NULL,'{}',NULL,NULL);
INSERT INTO "steps" VALUES(4,'step_000000000000000000000033','alpha',1800000001750,'thread_000000000000000000000017','run_000000000000000000000020','asst_000000000000000000000003','tool_calls',2,50,'completed',NULL,NULL,'{"prompt_tokens":13,"completion_tokens":5,"cached_tokens":0}',1800000001750,1800000001750,NULL,NULL,NULL,'{}',68,'{"model":"scripted","first":"msg_000000000000000000000018","last":"msg_000000000000000000000018","request":"28b06381281fcf6149203a885e57dc59"}');
INSERT INTO "steps" VALUES(5,'step_000000000000000000000038','alpha',1800000001750,'thread_000000000000000000000017','run_000000000000000000000020','asst_000000000000000000000003','message_creation',3,71,'completed','msg_000000000000000000000037',NULL,'{"prompt_tokens":17,"completion_tokens":5,"cached_tokens":0}',1800000001750,1800000001750,NULL,NULL,NULL,'{}',NULL,'{"model":"scripted","first":"msg_000000000000000000000018","last":"msg_000000000000000000000018","request":"8edf2b99e75a7fd756c65256418fa4cd"}');
INSERT INTO "steps" VALUES(6,'step_000000000000000000000047','alpha',1800000003250,'thread_000000000000000000000042','run_000000000000000000000045','asst_000000000000000000000003','message_creation',1,4,'completed','msg_000000000000000000000046',NULL,'{"prompt_tokens":1,"completion_tokens":5,"cached_tokens":0}',1800000003250,1800000003250,NULL,NULL,NULL,'{}',NULL,'{"model":"scripted","first":"msg_000000000000000000000043","last":"msg_000000000000000000000043","request":"a711cad97df551de084b1b14b2274b5b"}');
INSERT INTO "steps" VALUES(7,'step_000000000000000000000056','alpha',1800000004750,'thread_000000000000000000000051','run_000000000000000000000054','asst_000000000000000000000003','message_creation',1,4,'completed','msg_000000000000000000000055',NULL,'{"prompt_tokens":1,"completion_tokens":3,"cached_tokens":0}',1800000004750,1800000004750,NULL,NULL,NULL,'{}',NULL,'{"model":"scripted","first":"msg_000000000000000000000052","last":"msg_000000000000000000000052","request":"8e59fb653d5c1aa0a015368159c69c74"}');
INSERT INTO "steps" VALUES(8,'step_000000000000000000000066','alpha',1800000006250,'thread_000000000000000000000060','run_000000000000000000000063','asst_000000000000000000000003','tool_calls',1,4,'cancelled',NULL,NULL,'{"prompt_tokens":1,"completion_tokens":2,"cached_tokens":0}',1800000006250,NULL,NULL,1800000007250,NULL,'{}',11,'{"model":"scripted","first":"msg_000000000000000000000061","last":"msg_000000000000000000000061","request":"b95a2238a1baa0274336906135906eca"}');
INSERT INTO "steps" VALUES(9,'step_000000000000000000000082','alpha',1800000008750,'thread_000000000000000000000075','run_000000000000000000000078','asst_000000000000000000000003','tool_calls',1,4,'expired',NULL,NULL,'{"prompt_tokens":1,"completion_tokens":2,"cached_tokens":0}',1800000008750,NULL,NULL,NULL,1800000069750,'{}',10,'{"model":"scripted","first":"msg_000000000000000000000076","last":"msg_000000000000000000000076","request":"e2c2083dd1d36d6c4a71568a3378a09d"}');
INSERT INTO "steps" VALUES(10,'step_000000000000000000000095','alpha',1800000071250,'thread_000000000000000000000090','run_000000000000000000000093','asst_000000000000000000000088','message_creation',1,4,'completed','msg_000000000000000000000094',NULL,'{"prompt_tokens":0,"completion_tokens":0,"cached_tokens":0}',1800000071250,1800000071250,NULL,NULL,NULL,'{}',NULL,NULL);
INSERT INTO "steps" VALUES(11,'step_000000000000000000000097','alpha',1800000071250,'thread_000000000000000000000090','run_000000000000000000000093','asst_000000000000000000000088','tool_calls',1,14,'completed',NULL,NULL,'{"prompt_tokens":1,"completion_tokens":11,"cached_tokens":0}',1800000071250,1800000071250,NULL,NULL,NULL,'{}',71,'{"model":"scripted","first":"msg_000000000000000000000091","last":"msg_000000000000000000000091","request":"d30f51980738861733b4989279f229a9"}');
INSERT INTO "steps" VALUES(12,'step_000000000000000000000108','alpha',1800000071250,'thread_000000000000000000000090','run_000000000000000000000093','asst_000000000000000000000088','message_creation',2,74,'completed','msg_000000000000000000000107',NULL,'{"prompt_tokens":5,"completion_tokens":5,"cached_tokens":0}',1800000071250,1800000071250,NULL,NULL,NULL,'{}',NULL,'{"model":"scripted","first":"msg_000000000000000000000091","last":"msg_000000000000000000000091","request":"de3413de00129aa4ae890239fe906fc7"}');
INSERT INTO "steps" VALUES(13,'step_000000000000000000000117','alpha',1800000072750,'thread_000000000000000000000112','run_000000000000000000000115','asst_000000000000000000000088','message_creation',1,4,'completed','msg_000000000000000000000116',NULL,'{"prompt_tokens":0,"completion_tokens":0,"cached_tokens":0}',1800000072750,1800000072750,NULL,NULL,NULL,'{}',NULL,NULL);
INSERT INTO "steps" VALUES(14,'step_000000000000000000000119','alpha',1800000072750,'thread_000000000000000000000112','run_000000000000000000000115','asst_000000000000000000000088','tool_calls',1,14,'completed',NULL,NULL,'{"prompt_tokens":1,"completion_tokens":11,"cached_tokens":0}',1800000072750,1800000072750,NULL,NULL,NULL,'{}',71,'{"model":"scripted","first":"msg_000000000000000000000113","last":"msg_000000000000000000000113","request":"c56a16461941e78fcd1680b20774657e"}');
INSERT INTO "steps" VALUES(15,'step_000000000000000000000130','alpha',1800000072750,'thread_000000000000000000000112','run_000000000000000000000115','asst_000000000000000000000088','message_creation',2,74,'completed','msg_000000000000000000000129',NULL,'{"prompt_tokens":10,"completion_tokens":5,"cached_tokens":0}',1800000072750,1800000072750,NULL,NULL,NULL,'{}',NULL,'{"model":"scripted","first":"msg_000000000000000000000113","last":"msg_000000000000000000000113","request":"d471e14839cfff81dad6f52010b742d7"}');
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
	hidden BOOLEAN DEFAULT 0 NOT NULL, 
	begins_in TEXT, 
	begins_after BIGINT, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "threads" VALUES(1,'thread_000000000000000000000005','alpha',1800000000250,'{}','{}',NULL,6,2,NULL,0,0,NULL,NULL);
INSERT INTO "threads" VALUES(2,'thread_000000000000000000000017','alpha',1800000001750,'{}','{}',NULL,48,3,NULL,0,0,NULL,NULL);
INSERT INTO "threads" VALUES(3,'thread_000000000000000000000042','alpha',1800000003250,'{}','{}',NULL,6,2,NULL,0,0,NULL,NULL);
INSERT INTO "threads" VALUES(4,'thread_000000000000000000000051','alpha',1800000004750,'{}','{}',NULL,4,2,NULL,0,0,NULL,NULL);
INSERT INTO "threads" VALUES(5,'thread_000000000000000000000060','alpha',1800000006250,'{}','{}',NULL,3,1,NULL,0,0,NULL,NULL);
INSERT INTO "threads" VALUES(6,'thread_000000000000000000000075','alpha',1800000008750,'{}','{}',NULL,3,1,NULL,0,0,NULL,NULL);
INSERT INTO "threads" VALUES(7,'thread_000000000000000000000090','alpha',1800000071250,'{}','{}',NULL,22,3,NULL,0,0,NULL,NULL);
INSERT INTO "threads" VALUES(8,'thread_000000000000000000000112','alpha',1800000072750,'{}','{}',NULL,27,3,NULL,0,0,NULL,NULL);
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
CREATE INDEX threads_by_project ON threads (project, seq) WHERE NOT hidden;
CREATE INDEX webhooks_by_project ON webhooks (project, seq);
CREATE INDEX deliveries_by_due ON deliveries (due);
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_seq, due);
CREATE INDEX held_messages ON messages (thread_id, held) WHERE held IS NOT NULL;
CREATE INDEX messages_by_run ON messages (run_id, seq) WHERE run_id IS NOT NULL;
CREATE INDEX messages_by_thread ON messages (thread_id, seq);
CREATE INDEX ended_runs ON runs (project, ended_at, status, code, model, queue_ms, first_token_ms, total_ms, prompt_tokens, completion_tokens, cached_tokens) WHERE ended_at IS NOT NULL;
CREATE INDEX failed_runs ON runs (project, seq) WHERE code IS NOT NULL;
CREATE INDEX held_runs ON runs (thread_id, held) WHERE held IS NOT NULL;
CREATE UNIQUE INDEX live_run_of_thread ON runs (thread_id) WHERE held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action');
CREATE INDEX live_runs_by_expiry ON runs (expires_at) WHERE held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action');
CREATE INDEX runs_by_agent ON runs (project, assistant_id, seq);
CREATE INDEX runs_by_project ON runs (project, seq);
CREATE INDEX runs_by_thread ON runs (thread_id, seq);
CREATE INDEX thread_tags_by_value ON thread_tags (project, "key", value, thread_seq);
CREATE INDEX calls_by_end ON calls (project, ended_at, name, result, ms) WHERE ended_at IS NOT NULL;
CREATE INDEX calls_by_run ON calls (run_id, turn, "index");
CREATE INDEX steps_by_run ON steps (run_id, seq);
CREATE INDEX steps_by_thread ON steps (thread_id, seq);
CREATE INDEX takeovers_by_run ON takeovers (run_id);
COMMIT;

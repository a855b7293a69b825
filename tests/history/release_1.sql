-- A file as the release before speech left it: one ended turn, one that runs.
PRAGMA application_id = 1130914164;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE conversations (
            conversation_id TEXT PRIMARY KEY,
            owner_id TEXT NOT NULL,
            title TEXT NOT NULL,
            chatbot_id TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            last_seq INTEGER NOT NULL,
            active_turn_id TEXT,
            v INTEGER NOT NULL
        );
INSERT INTO "conversations" VALUES('c-000001','user-1','A talk','default',3986973015123,3986973020123,4,'t-000003',1);
CREATE TABLE idempotency_keys (
            key_hash TEXT PRIMARY KEY,
            body_hash TEXT NOT NULL,
            turn_id TEXT NOT NULL,
            conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
            expires_at INTEGER NOT NULL,
            v INTEGER NOT NULL
        ) WITHOUT ROWID
        ;
INSERT INTO "idempotency_keys" VALUES('key-1','body-1','t-000002','c-000001',3987059415123,1);
CREATE TABLE messages (
            message_id TEXT PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
            owner_id TEXT NOT NULL,
            seq INTEGER NOT NULL,
            role TEXT NOT NULL,
            text TEXT NOT NULL,
            status TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            turn_id TEXT NOT NULL,
            chatbot_id TEXT NOT NULL,
            model TEXT,
            usage TEXT,
            feedback TEXT,
            v INTEGER NOT NULL
        );
INSERT INTO "messages" VALUES('u-000002','c-000001','user-1',1,'user','How are you?','completed',3986973015123,'t-000002','default',NULL,NULL,NULL,1);
INSERT INTO "messages" VALUES('a-000002','c-000001','user-1',2,'assistant','Fine, thank you.','completed',3986973020123,'t-000002','default','offline','{"input":12,"output":5,"source":"exact"}','{"rating":"up","comment":"Good","at":3986973024123}',1);
INSERT INTO "messages" VALUES('u-000003','c-000001','user-1',3,'user','How are you?','completed',3986973015123,'t-000003','default',NULL,NULL,NULL,1);
CREATE TABLE schema_versions (component TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "schema_versions" VALUES('history',1);
CREATE TABLE turns (
            turn_id TEXT PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
            owner_id TEXT NOT NULL,
            user_message_id TEXT NOT NULL,
            message_id TEXT NOT NULL,
            answer_seq INTEGER NOT NULL,
            chatbot_id TEXT NOT NULL,
            model TEXT NOT NULL,
            streaming INTEGER NOT NULL,
            worker_id TEXT NOT NULL,
            spec TEXT NOT NULL,
            metadata TEXT NOT NULL,
            status TEXT NOT NULL,
            epoch INTEGER NOT NULL,
            last_seq INTEGER NOT NULL,
            text TEXT NOT NULL,
            started_at INTEGER NOT NULL,
            heartbeat_at INTEGER NOT NULL,
            retry_of TEXT,
            ended_at INTEGER,
            finish_reason TEXT,
            usage TEXT,
            error TEXT,
            end TEXT,
            v INTEGER NOT NULL
        );
INSERT INTO "turns" VALUES('t-000002','c-000001','user-1','u-000002','a-000002',2,'default','offline',1,'worker-1','{"prompt":[{"role":"user","text":"How are you?"}],"temperature":0.5}','{"page.path":"/","$set":{"a":null}}','completed',1,12,'Fine, thank you.',3986973015123,3986973020123,NULL,3986973020123,'stop','{"input":12,"output":5,"source":"exact"}',NULL,'{"text":"Fine, thank you.","finish_reason":"stop","timings":{"ttft_ms":12.5}}',1);
INSERT INTO "turns" VALUES('t-000003','c-000001','user-1','u-000003','a-000003',4,'default','offline',1,'worker-1','{"prompt":[{"role":"user","text":"How are you?"}],"temperature":0.5}','{"page.path":"/","$set":{"a":null}}','running',1,3,'Fine',3986973015123,3986973016123,NULL,NULL,NULL,NULL,NULL,NULL,1);
CREATE INDEX conversations_by_owner
            ON conversations (owner_id, updated_at DESC, conversation_id DESC)
        ;
CREATE UNIQUE INDEX messages_by_seq ON messages (conversation_id, seq);
CREATE INDEX turns_by_conversation ON turns (conversation_id);
CREATE INDEX turns_running ON turns (heartbeat_at) WHERE status = 'running';
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
CREATE INDEX idempotency_keys_by_conversation ON idempotency_keys (conversation_id);
COMMIT;

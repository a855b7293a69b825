// Make the replica set of one, and the user that the service is. May be run again: it changes a
// password that is another one now, and nothing else. Run by mongosh, connected to nothing.
const fs = require("fs");

const secret = (name) => fs.readFileSync(`/run/secrets/${name}`, "utf8").trim();
const NOT_YET_INITIALIZED = 94;
const TRIES = 120;

const root = encodeURIComponent(secret("mongodb_root_password"));
const admin = new Mongo(`mongodb://root:${root}@mongodb:27017/admin?directConnection=true`).getDB("admin");

try {
  admin.adminCommand({ replSetGetStatus: 1 });
} catch (error) {
  if (error.code !== NOT_YET_INITIALIZED) throw error;
  admin.adminCommand({ replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] } });
}

let tries = 0;
while (!admin.hello().isWritablePrimary) {
  if (++tries > TRIES) throw new Error("the replica set has no primary after 60 s");
  sleep(500);
}

const chat = admin.getSiblingDB("chatstream");
const pwd = secret("mongodb_password");
if (chat.getUser("chatstream") === null) {
  chat.createUser({ user: "chatstream", pwd, roles: [{ role: "readWrite", db: "chatstream" }] });
} else {
  chat.updateUser("chatstream", { pwd });
}

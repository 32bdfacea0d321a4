// What a program with the openai package's AzureOpenAI does; prints what it saw as JSON.
"use strict";

const { AzureOpenAI } = require("openai");

// Finds the server by AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_API_KEY and OPENAI_API_VERSION.
const client = new AzureOpenAI();

async function main() {
  const assistant = await client.beta.assistants.create({ model: "any", instructions: "Be a host." });
  const thread = await client.beta.threads.create({ messages: [{ role: "user", content: "Who are you?" }] });
  const run = await client.beta.threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id });
  const page = await client.beta.threads.messages.list(thread.id);
  const pieces = [];
  const stream = client.beta.threads.runs.stream(thread.id, { assistant_id: assistant.id });
  stream.on("textDelta", (delta) => pieces.push(delta.value));
  await stream.finalRun();
  await client.beta.assistants.delete(assistant.id);
  console.log(JSON.stringify({ status: run.status, text: page.data[0].content[0].text.value, pieces }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

// What a program with the openai package's AzureOpenAI does; prints what it saw as JSON.
"use strict";

const { AzureOpenAI } = require("openai");

// Finds the server by AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_API_KEY and OPENAI_API_VERSION.
const client = new AzureOpenAI();
const { threads } = client.beta;

const priceTool = {
  type: "function",
  function: {
    name: "price",
    description: "The price of a dish.",
    parameters: { type: "object", properties: { dish: { type: "string" } }, required: ["dish"] },
  },
};

async function answer(threadId) {
  const page = await threads.messages.list(threadId);
  return page.data[0].content[0].text.value;
}

async function poll(thread, assistant) {
  const run = await threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id });
  return { status: run.status, text: await answer(thread.id) };
}

async function pollWithTools(thread, assistant) {
  await threads.messages.create(thread.id, { role: "user", content: "How much is the soup?" });
  const waiting = await threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id });
  const run = await threads.runs.submitToolOutputsAndPoll(waiting.id, {
    thread_id: thread.id,
    tool_outputs: waiting.required_action.submit_tool_outputs.tool_calls.map((call) => ({
      tool_call_id: call.id,
      output: `${JSON.parse(call.function.arguments).dish} costs 9 euros`,
    })),
  });
  return { statuses: [waiting.status, run.status], text: await answer(thread.id) };
}

async function stream(thread, assistant) {
  const pieces = [];
  const running = threads.runs.stream(thread.id, { assistant_id: assistant.id });
  running.on("textDelta", (delta) => pieces.push(delta.value));
  await running.finalRun();
  return pieces;
}

async function main() {
  const assistant = await client.beta.assistants.create({
    model: "any",
    instructions: "Be a host.",
    tools: [priceTool],
  });
  const thread = await threads.create({ messages: [{ role: "user", content: "Who are you?" }] });
  const seen = {
    poll: await poll(thread, assistant),
    tools: await pollWithTools(thread, assistant),
    stream: await stream(thread, assistant),
  };
  await client.beta.assistants.delete(assistant.id);
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

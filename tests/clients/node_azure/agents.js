// What a program with @azure/ai-agents does with an agent; prints what it saw as JSON.
"use strict";

const { AgentsClient, ToolUtility, isOutputOfType, RunStreamEvent, MessageStreamEvent } = require("@azure/ai-agents");
const { DefaultAzureCredential } = require("@azure/identity");

const client = new AgentsClient(process.env.PROJECT_ENDPOINT, new DefaultAzureCredential());

const priceTool = ToolUtility.createFunctionTool({
  name: "price",
  description: "The price of a dish.",
  parameters: { type: "object", properties: { dish: { type: "string" } }, required: ["dish"] },
});

function outputs(run) {
  return run.requiredAction.submitToolOutputs.toolCalls.map((call) => ({
    toolCallId: call.id,
    output: `${JSON.parse(call.function.arguments).dish} costs 9 euros`,
  }));
}

async function texts(threadId) {
  const found = [];
  for await (const message of client.messages.list(threadId, { order: "asc" })) {
    found.push(message.content.map((part) => part.text.value).join(""));
  }
  return found;
}

async function poll(agent) {
  const thread = await client.threads.create();
  await client.messages.create(thread.id, "user", "Who are you?");
  const run = await client.runs.createAndPoll(thread.id, agent.id, { pollingOptions: { intervalInMs: 50 } });
  return { status: run.status, texts: await texts(thread.id) };
}

async function pollWithTools(agent) {
  const thread = await client.threads.create();
  await client.messages.create(thread.id, "user", "How much is the soup?");
  let run = await client.runs.create(thread.id, agent.id);
  const statuses = new Set();
  while (["queued", "in_progress", "requires_action"].includes(run.status)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    run = await client.runs.get(thread.id, run.id);
    statuses.add(run.status);
    if (run.status === "requires_action") {
      run = await client.runs.submitToolOutputs(thread.id, run.id, outputs(run));
    }
  }
  const kinds = [];
  for await (const step of client.runSteps.list(thread.id, run.id, { order: "asc" })) {
    kinds.push(step.type);
  }
  return { asked: statuses.has("requires_action"), status: run.status, texts: await texts(thread.id), steps: kinds };
}

async function stream(agent) {
  const thread = await client.threads.create();
  await client.messages.create(thread.id, "user", "Count.");
  const pieces = [];
  const ends = [];
  const events = await client.runs.create(thread.id, agent.id).stream();
  for await (const event of events) {
    if (event.event === MessageStreamEvent.ThreadMessageDelta) {
      pieces.push(event.data.delta.content.map((part) => part.text.value).join(""));
    } else if (event.event === RunStreamEvent.ThreadRunCompleted) {
      ends.push(event.data.status);
    }
  }
  return { pieces, ends };
}

async function main() {
  const agent = await client.createAgent("any", {
    name: "Host",
    instructions: "Be a host.",
    tools: [priceTool.definition],
  });
  const seen = {
    poll: await poll(agent),
    tools: await pollWithTools(agent),
    stream: await stream(agent),
  };
  await client.deleteAgent(agent.id);
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

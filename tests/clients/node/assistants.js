// What a program with the openai package does with Assistants; prints what it saw as JSON.
"use strict";

const OpenAI = require("openai");

const client = new OpenAI(); // finds the server by OPENAI_BASE_URL and OPENAI_API_KEY

const weatherTool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

function answerCalls(run) {
  return run.required_action.submit_tool_outputs.tool_calls.map((call) => ({
    tool_call_id: call.id,
    output: `sunny in ${JSON.parse(call.function.arguments).city}`,
  }));
}

function record(stream, events) {
  for (const name of ["messageCreated", "textCreated", "textDone", "messageDone"]) {
    stream.on(name, () => events.push(name));
  }
  for (const name of ["toolCallCreated", "toolCallDone", "runStepCreated", "runStepDone", "run", "end"]) {
    stream.on(name, () => events.push(name));
  }
  stream.on("error", (error) => events.push(`error: ${error.message}`));
}

async function poll(assistant) {
  const thread = await client.beta.threads.create();
  await client.beta.threads.messages.create(thread.id, { role: "user", content: "Say hello." });
  const run = await client.beta.threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id });
  const page = await client.beta.threads.messages.list(thread.id);
  return { status: run.status, usage: run.usage, text: page.data[0].content[0].text.value };
}

async function pollWithTools(assistant) {
  const thread = { messages: [{ role: "user", content: "Weather in Oslo?" }] };
  const waiting = await client.beta.threads.createAndRunPoll({ assistant_id: assistant.id, thread });
  const run = await client.beta.threads.runs.submitToolOutputsAndPoll(waiting.id, {
    thread_id: waiting.thread_id,
    tool_outputs: answerCalls(waiting),
  });
  const steps = await client.beta.threads.runs.steps.list(run.id, { thread_id: run.thread_id, order: "asc" });
  return {
    statuses: [waiting.status, run.status],
    steps: steps.data.map((step) => step.type),
    output: steps.data[0].step_details.tool_calls[0].function.output,
  };
}

async function streamText(assistant) {
  const events = [];
  const deltas = [];
  const thread = await client.beta.threads.create({ messages: [{ role: "user", content: "Count." }] });
  const stream = client.beta.threads.runs.stream(thread.id, { assistant_id: assistant.id });
  record(stream, events);
  stream.on("textDelta", (delta) => deltas.push(delta.value));
  const messages = await stream.finalMessages();
  const run = await stream.finalRun();
  return { events, deltas, status: run.status, text: messages[0].content[0].text.value };
}

async function streamTools(assistant) {
  const events = [];
  let argumentText = "";
  const thread = await client.beta.threads.create({ messages: [{ role: "user", content: "Weather in Rome?" }] });
  const stream = client.beta.threads.runs.stream(thread.id, { assistant_id: assistant.id });
  record(stream, events);
  stream.on("toolCallDelta", (delta) => (argumentText += delta.function?.arguments ?? ""));
  const waiting = await stream.finalRun();
  const snapshot = (await stream.finalRunSteps())[0].step_details.tool_calls[0].function;

  const eventsAfter = [];
  let text = "";
  const rest = client.beta.threads.runs.submitToolOutputsStream(waiting.id, {
    thread_id: thread.id,
    tool_outputs: answerCalls(waiting),
  });
  record(rest, eventsAfter);
  rest.on("textDelta", (delta) => (text += delta.value));
  const run = await rest.finalRun();
  return { events, eventsAfter, argumentText, snapshot, text, statuses: [waiting.status, run.status] };
}

async function iterate(assistant) {
  const names = [];
  const thread = { messages: [{ role: "user", content: "Hi." }] };
  const stream = client.beta.threads.createAndRunStream({ assistant_id: assistant.id, thread });
  for await (const event of stream) {
    names.push(event.event);
  }
  return names;
}

async function pages() {
  const thread = await client.beta.threads.create();
  for (let number = 1; number <= 5; number++) {
    await client.beta.threads.messages.create(thread.id, { role: "user", content: `${number}` });
  }
  const texts = [];
  for await (const message of client.beta.threads.messages.list(thread.id, { order: "asc", limit: 2 })) {
    texts.push(message.content[0].text.value);
  }
  return texts;
}

async function mistakes(assistant) {
  const seen = [];
  const attempts = [
    () => client.beta.threads.retrieve("thread_missing"),
    () => client.beta.threads.runs.create("thread_missing", { assistant_id: assistant.id }),
    () => client.beta.assistants.create({}),
    () => new OpenAI({ apiKey: "wrong" }).beta.threads.create(),
  ];
  for (const attempt of attempts) {
    try {
      await attempt();
      seen.push("nothing went wrong");
    } catch (error) {
      seen.push({ kind: error.constructor.name, status: error.status, type: error.type });
    }
  }
  return seen;
}

async function main() {
  const plain = await client.beta.assistants.create({ model: "any", instructions: "Be brief." });
  const withTools = await client.beta.assistants.create({ model: "any", tools: [weatherTool] });
  const result = {
    poll: await poll(plain),
    pollWithTools: await pollWithTools(withTools),
    streamText: await streamText(plain),
    streamTools: await streamTools(withTools),
    iterate: await iterate(plain),
    pages: await pages(),
    mistakes: await mistakes(plain),
    deleted: (await client.beta.assistants.delete(plain.id)).deleted,
  };
  console.log(JSON.stringify(result));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});

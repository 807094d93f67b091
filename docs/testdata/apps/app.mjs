import { createServer } from "node:http";
import { json } from "node:stream/consumers";

const gateway = "http://127.0.0.1:40010";

async function handle(request) {
  const event = await json(request);
  console.log(event.action, event.user_name, event.conn_id);
  if (event.action === "message") { // say it back
    const body = JSON.stringify({ conn_id: event.conn_id, payload: event.data, encoding: event.encoding });
    await fetch(`${gateway}/tapr/ws/conn/send`, { method: "POST", body });
  }
}

createServer((request, response) => {
  handle(request).then(
    () => response.end(),
    () => response.writeHead(500).end(), // the gateway sends the event again
  );
}).listen(8888, "127.0.0.1");

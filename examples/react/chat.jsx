// A page for the chat of the other examples.
import { useState } from "react";
import { createRoot } from "react-dom/client";
import { useClient } from "ws-gateway-client/react";

function App() {
  const [user, setUser] = useState(null);
  return user ? <Chat /> : <Login onUser={setUser} />;
}

function Login({ onUser }) {
  const [error, setError] = useState("");
  const login = async (fields) => {
    const answer = await fetch("/login", { method: "POST", body: new URLSearchParams(fields) });
    if (answer.ok) onUser(fields.user);
    else setError(`The login failed: ${answer.status}`);
  };
  return (
    <Form id="login" onFields={login}>
      <input name="user" placeholder="your name: a-z, 0-9" pattern="[a-z0-9]{1,20}" required /> <button>Log in</button> {error}
    </Form>
  );
}

function Chat() {
  const [room, setRoom] = useState(null);
  const [heard, setHeard] = useState([]);
  const hear = (line) => setHeard((before) => [...before.slice(-999), line]);
  // It comes back by itself after restarts and lost networks, as a new connection, which is in
  // no room yet.
  const { client, state } = useClient("/ws", undefined, {
    open: ({ target }) => room && target.sendEvent("join", { room }),
    message: ({ data }) => {
      const { event, data: said } = JSON.parse(data);
      hear(`${event}: ${Object.values(said).join(" | ")}`);
    },
    close: ({ code, reason }) => hear(`closed: ${code} ${reason}`),
  });
  const join = (fields) => {
    if (room) client.sendEvent("leave", { room });
    client.sendEvent("join", fields);
    setRoom(fields.room);
  };
  return (
    <>
      <p role="status">{state}</p>
      <Form id="join" onFields={join}>
        <input name="room" defaultValue="tea" maxLength={60} required /> <button>Join</button>
      </Form>
      <Form id="say" onFields={({ text }) => client.sendEvent("say", { room, text })}>
        <input name="text" placeholder="say something" required disabled={!room} /> <button>Say</button>
      </Form>
      <ol id="heard">{heard.map((line, n) => <li key={n}>{line}</li>)}</ol>
    </>
  );
}

function Form({ onFields, ...rest }) {
  const submit = (event) => {
    event.preventDefault();
    onFields(Object.fromEntries(new FormData(event.target)));
  };
  return <form onSubmit={submit} {...rest} />;
}

createRoot(document.querySelector("#root")).render(<App />);

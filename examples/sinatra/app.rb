# A chat behind ws-gateway, with Sinatra.
require "erb"
require "json"
require "sinatra"
require_relative "gateway"

set :environment, :production
set :port, 8888
set :bind, ENV.fetch("HOST", "127.0.0.1")
set :sessions, same_site: :lax
# It would drop the session from a callback, whose User-Agent is the gateway's and not the
# client's.
set :protection, except: :session_hijacking
set :session_secret, ENV.fetch("SESSION_SECRET", "change me, too: at least 64 characters, which nobody else knows of")

get("/") { send_file "../page.html" }

# Stands for your login: it believes everybody.
post "/login" do
  user = params["user"].to_s
  halt 400, "a user's name has 1 to 20 of a-z and 0-9" unless user.match?(/\A[a-z0-9]{1,20}\z/)
  session["user"] = user
  204
end

post "/ws/message" do
  body = request.body.read
  halt 503, { "X-Ws-Error" => "signature" }, "" unless Gateway.signed?(request.get_header("HTTP_X_WS_SIGNATURE").to_s, body)
  event = JSON.parse(body, symbolize_names: true)
  id = request.get_header("HTTP_X_REQUEST_ID")
  case event
  in { action: "open" } then open
  in { action: "message", user_name: user, data: said } then message(id, user, said)
  in { action: "close", user_name: user } then send_to("lobby", id, "gone", user:)
  end
end

# Who may connect: the cookies are the client's, so its session is there.
def open
  user = session["user"]
  halt 401, "log in first" unless user
  headers "X-Ws-User" => user, "X-Ws-Join" => "lobby"
  reply "welcome", { user: }
end

def message(id, user, said)
  case said
  in { event: "echo", data: data } then reply "echo", data
  in { event: "join", data: { room: ROOM => room } }
    send_to room, id, "came", room:, user: user
    headers "X-Ws-Join" => ERB::Util.url_encode(room)
    reply "joined", { room: }
  in { event: "leave", data: { room: ROOM => room } }
    headers "X-Ws-Leave" => ERB::Util.url_encode(room)
    reply "left", { room: }
  in { event: "say", data: { room: ROOM => room, text: String => text } }
    send_to room, id, "said", room:, user:, text:
  else reply "error", { text: "say join, leave or say, and a room" }
  end
end

ROOM = /\A[^\p{Cc}]{1,60}\z/

# To all who are in a room, once for each event. If that fails, Sinatra answers 500, and the
# gateway sends the event again.
def send_to(room, id, event, **data)
  Gateway.once(id) { Gateway.call("conn/send", { groups: [room], payload: { event:, data: } }) }
  204
end

def reply(event, data)
  content_type :json
  JSON.generate({ event:, data: })
end

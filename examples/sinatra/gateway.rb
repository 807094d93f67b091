# What an app needs to talk to ws-gateway, whatever it does: copy this file.
require "json"
require "net/http"
require "openssl"
require "uri"

module Gateway
  URL = URI(ENV.fetch("GATEWAY", "http://127.0.0.1:40010"))
  SECRET = ENV.fetch("CALLBACK_SECRET", "change me")
  REMEMBERED = 10_000

  @handled = {}
  @mutex = Mutex.new

  module_function

  # Says whether header, X-Ws-Signature, signs body: the bytes, before anything has parsed them.
  def signed?(header, body)
    stamp = ""
    matches = false
    header.split(",").each do |part|
      name, value = part.split("=", 2)
      stamp = value.to_s if name == "t"
      next unless name == "v1" # several while the secret is changed

      want = OpenSSL::HMAC.hexdigest("SHA256", SECRET, "#{stamp}.".b + body.b)
      matches ||= OpenSSL.secure_compare(want, value.to_s)
    end
    matches && stamp.match?(/\A\d+\z/) && (Time.now.to_i - stamp.to_i).abs < 300
  end

  # Posts a command, such as conn/send, and raises an error unless it was done. Its time is
  # shorter than the gateway's --callback-timeout, so that two attempts of an event do not
  # overlap.
  def call(route, command)
    answer = Net::HTTP.start(URL.host, URL.port, open_timeout: 2, read_timeout: 5, max_retries: 0) do |http|
      http.post("/tapr/ws/#{route}", JSON.generate(command), "Content-Type" => "application/json")
    end
    done = JSON.parse(answer.body)
    raise "#{route}: #{done["message"]} (#{done["code"]})" unless done["code"].zero?
  end

  # Acts unless that has been done for this X-Request-Id: an event comes again if its answer
  # was lost. The oldest are forgotten, and all of them with the process.
  def once(id)
    return if @mutex.synchronize { @handled.key?(id) }

    yield
    @mutex.synchronize do
      @handled[id] = true
      @handled.shift if @handled.size > REMEMBERED
    end
  end
end

;; An HTTP plugin that behaves as the first letter of the path says:
;;   /ok      answers how many requests this instance has had, as one letter: A is 1
;;   /spin    computes for ever
;;   /trap    traps
;;   /late    sends a head and a chunk, then traps
;;   /half    sends a head and a chunk, then computes for ever
;;   /drip    sends chunks for ever
;;   /memory  grows its memory by MiBs until refused: A is none
;;   /recurse recurses for ever
;;   /nothing returns without an answer
;;   /error   answers with an error code
;;   /print   writes two lines to standard output, and then as /ok
(component
  (import "wasi:io/error@0.2.0" (instance $error
    (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-resource))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error-resource (type $error))
    (export "output-stream" (type $output-stream (sub resource)))
    (type $stream-error' (variant
      (case "last-operation-failed" (own $error))
      (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $output-stream))
      (param "contents" (list u8))
      (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output-stream (type $stream))
    (export "get-stdout" (func (result (own $stream))))))
  (import "wasi:http/types@0.2.0" (instance $types
    (alias outer 1 $output-stream (type $stream))
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type $incoming-request (sub resource)))
    (export "outgoing-response" (type $outgoing-response (sub resource)))
    (export "outgoing-body" (type $outgoing-body (sub resource)))
    (export "response-outparam" (type $response-outparam (sub resource)))
    (type $dns' (record (field "rcode" (option string)) (field "info-code" (option u16))))
    (export "DNS-error-payload" (type $dns (eq $dns')))
    (type $tls' (record (field "alert-id" (option u8)) (field "alert-message" (option string))))
    (export "TLS-alert-received-payload" (type $tls (eq $tls')))
    (type $size' (record (field "field-name" (option string)) (field "field-size" (option u32))))
    (export "field-size-payload" (type $size (eq $size')))
    (type $error-code' (variant
      (case "DNS-timeout")
      (case "DNS-error" $dns)
      (case "destination-not-found")
      (case "destination-unavailable")
      (case "destination-IP-prohibited")
      (case "destination-IP-unroutable")
      (case "connection-refused")
      (case "connection-terminated")
      (case "connection-timeout")
      (case "connection-read-timeout")
      (case "connection-write-timeout")
      (case "connection-limit-reached")
      (case "TLS-protocol-error")
      (case "TLS-certificate-error")
      (case "TLS-alert-received" $tls)
      (case "HTTP-request-denied")
      (case "HTTP-request-length-required")
      (case "HTTP-request-body-size" (option u64))
      (case "HTTP-request-method-invalid")
      (case "HTTP-request-URI-invalid")
      (case "HTTP-request-URI-too-long")
      (case "HTTP-request-header-section-size" (option u32))
      (case "HTTP-request-header-size" (option $size))
      (case "HTTP-request-trailer-section-size" (option u32))
      (case "HTTP-request-trailer-size" $size)
      (case "HTTP-response-incomplete")
      (case "HTTP-response-header-section-size" (option u32))
      (case "HTTP-response-header-size" $size)
      (case "HTTP-response-body-size" (option u64))
      (case "HTTP-response-trailer-section-size" (option u32))
      (case "HTTP-response-trailer-size" $size)
      (case "HTTP-response-transfer-coding" (option string))
      (case "HTTP-response-content-coding" (option string))
      (case "HTTP-response-timeout")
      (case "HTTP-upgrade-failed")
      (case "HTTP-protocol-error")
      (case "loop-detected")
      (case "configuration-error")
      (case "internal-error" (option string))))
    (export "error-code" (type $error-code (eq $error-code')))
    (export "[method]incoming-request.path-with-query" (func
      (param "self" (borrow $incoming-request)) (result (option string))))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[constructor]outgoing-response" (func
      (param "headers" (own $fields)) (result (own $outgoing-response))))
    (export "[method]outgoing-response.body" (func
      (param "self" (borrow $outgoing-response)) (result (result (own $outgoing-body)))))
    (export "[method]outgoing-body.write" (func
      (param "self" (borrow $outgoing-body)) (result (result (own $stream)))))
    (export "[static]outgoing-body.finish" (func
      (param "this" (own $outgoing-body))
      (param "trailers" (option (own $fields)))
      (result (result (error $error-code)))))
    (export "[static]response-outparam.set" (func
      (param "param" (own $response-outparam))
      (param "response" (result (own $outgoing-response) (error $error-code)))))))
  (alias export $types "incoming-request" (type $incoming-request))
  (alias export $types "response-outparam" (type $response-outparam))

  ;; Memory stands by itself, so that imports can be lowered before the code exists.
  (core module $memory
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 4096))
    ;; What is allocated lives for one request: the next starts over.
    (func (export "reset") (global.set $free (i32.const 4096)))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      global.get $free
      (global.set $free (i32.add (global.get $free) (local.get 3))))
    (data (i32.const 1024) "one line\nand another\n"))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))

  (core func $path (canon lower
    (func $types "[method]incoming-request.path-with-query")
    (memory $mem) (realloc $realloc)))
  (core func $fields (canon lower (func $types "[constructor]fields")))
  (core func $response (canon lower (func $types "[constructor]outgoing-response")))
  (core func $body (canon lower (func $types "[method]outgoing-response.body") (memory $mem)))
  (core func $write (canon lower (func $types "[method]outgoing-body.write") (memory $mem)))
  (core func $finish (canon lower
    (func $types "[static]outgoing-body.finish") (memory $mem) (realloc $realloc)))
  (core func $set (canon lower
    (func $types "[static]response-outparam.set") (memory $mem)))
  (core func $push (canon lower
    (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory $mem) (realloc $realloc)))
  (core func $stdout (canon lower (func $stdout "get-stdout")))
  (core func $drop-stream (canon resource.drop $output-stream))
  (core func $drop-request (canon resource.drop $incoming-request))

  (core module $main
    (import "m" "memory" (memory 1))
    (import "m" "reset" (func $reset))
    (import "i" "path" (func $path (param i32 i32)))
    (import "i" "fields" (func $fields (result i32)))
    (import "i" "response" (func $response (param i32) (result i32)))
    (import "i" "body" (func $body (param i32 i32)))
    (import "i" "write" (func $write (param i32 i32)))
    (import "i" "finish" (func $finish (param i32 i32 i32 i32)))
    (import "i" "set" (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (import "i" "push" (func $push (param i32 i32 i32 i32)))
    (import "i" "stdout" (func $stdout (result i32)))
    (import "i" "drop-stream" (func $drop-stream (param i32)))
    (import "i" "drop-request" (func $drop-request (param i32)))
    (global $served (mut i32) (i32.const 0))
    (global $the-body (mut i32) (i32.const 0))

    ;; Sends the head and returns the body's stream.
    (func $head (param $out i32) (result i32)
      (local $response i32)
      (local.set $response (call $response (call $fields)))
      (call $body (local.get $response) (i32.const 32))
      (global.set $the-body (i32.load (i32.const 36)))
      (call $write (global.get $the-body) (i32.const 32))
      (call $set (local.get $out) (i32.const 0) (local.get $response)
        (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
      (i32.load (i32.const 36)))

    ;; Writes one letter, and says whether somebody takes it.
    (func $letter (param $stream i32) (param $letter i32) (result i32)
      (i32.store8 (i32.const 512) (local.get $letter))
      (call $push (local.get $stream) (i32.const 512) (i32.const 1) (i32.const 64))
      (i32.eqz (i32.load8_u (i32.const 64))))

    ;; A whole answer of one letter.
    (func $answer (param $out i32) (param $letter i32)
      (local $stream i32)
      (local.set $stream (call $head (local.get $out)))
      (drop (call $letter (local.get $stream) (local.get $letter)))
      (call $drop-stream (local.get $stream))
      (call $finish (global.get $the-body) (i32.const 0) (i32.const 0) (i32.const 128)))

    (func $spin (loop $again (br $again)))
    (func $recurse (param i32) (result i32)
      (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (local.get 0)))
    (func $drip (param $stream i32)
      (loop $again
        (br_if $again (call $letter (local.get $stream) (i32.const 46)))))
    (func $grow (result i32)
      (local $mib i32)
      (loop $again
        (if (i32.ne (memory.grow (i32.const 16)) (i32.const -1))
          (then
            (local.set $mib (i32.add (local.get $mib) (i32.const 1)))
            (br $again))))
      (local.get $mib))
    (func $print
      (local $stream i32)
      (local.set $stream (call $stdout))
      (call $push (local.get $stream) (i32.const 1024) (i32.const 21) (i32.const 64))
      (call $drop-stream (local.get $stream)))

    (func $is (param $letter i32) (result i32)
      (i32.eq (i32.load8_u offset=1 (i32.load (i32.const 20))) (local.get $letter)))

    (func (export "handle") (param $request i32) (param $out i32)
      (call $reset)
      (global.set $served (i32.add (global.get $served) (i32.const 1)))
      (call $path (local.get $request) (i32.const 16))
      (call $drop-request (local.get $request))
      (if (call $is (i32.const 115)) (then (call $spin)))
      (if (call $is (i32.const 116)) (then (unreachable)))
      (if (call $is (i32.const 108)) (then
        (drop (call $letter (call $head (local.get $out)) (i32.const 76)))
        (unreachable)))
      (if (call $is (i32.const 104)) (then
        (drop (call $letter (call $head (local.get $out)) (i32.const 72)))
        (call $spin)))
      (if (call $is (i32.const 100)) (then
        (call $drip (call $head (local.get $out)))
        (return)))
      (if (call $is (i32.const 109)) (then
        (call $answer (local.get $out) (i32.add (i32.const 65) (call $grow)))
        (return)))
      (if (call $is (i32.const 114)) (then (drop (call $recurse (i32.const 1)))))
      (if (call $is (i32.const 110)) (then (return)))
      (if (call $is (i32.const 101)) (then
        (call $set (local.get $out) (i32.const 1) (i32.const 36)
          (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
        (return)))
      (if (call $is (i32.const 112)) (then (call $print)))
      (call $answer (local.get $out) (i32.add (i32.const 64) (global.get $served)))))
  (core instance $main (instantiate $main
    (with "m" (instance $memory))
    (with "i" (instance
      (export "path" (func $path))
      (export "fields" (func $fields))
      (export "response" (func $response))
      (export "body" (func $body))
      (export "write" (func $write))
      (export "finish" (func $finish))
      (export "set" (func $set))
      (export "push" (func $push))
      (export "stdout" (func $stdout))
      (export "drop-stream" (func $drop-stream))
      (export "drop-request" (func $drop-request))))))
  (func $handle
    (param "request" (own $incoming-request)) (param "response-out" (own $response-outparam))
    (canon lift (core func $main "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))

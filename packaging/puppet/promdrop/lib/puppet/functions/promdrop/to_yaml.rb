# frozen_string_literal: true

require 'json'
require 'yaml'

# A definition as the text of its file. Readers of YAML differ in what they take for a number or a truth value where it
# has no quotes: here every text has them that is more than plain words.
Puppet::Functions.create_function(:'promdrop::to_yaml') do
  # @param definition What the file holds.
  # @return The text.
  dispatch :to_yaml do
    param 'Hash[String[1], Data]', :definition
    return_type 'String'
  end

  # By way of JSON, no value is the same object as another, which YAML would write as a reference.
  def to_yaml(definition)
    stream = YAML.parse_stream(YAML.dump(JSON.parse(JSON.generate(definition)), line_width: -1))
    stream.each { |node| quote(node) if text?(node) && !words?(node.value) }
    stream.to_yaml(nil, line_width: -1).delete_prefix("---\n")
  end

  def text?(node)
    node.is_a?(Psych::Nodes::Scalar) && node.style == Psych::Nodes::Scalar::PLAIN &&
      Psych::ScalarScanner.new(Psych::ClassLoader.new).tokenize(node.value).is_a?(String)
  end

  def words?(text)
    text.match?(%r{\A[A-Za-z_/][A-Za-z0-9_/. -]*\z})
  end

  def quote(node)
    node.plain = false
    node.quoted = true
    node.style = Psych::Nodes::Scalar::DOUBLE_QUOTED
  end
end
